package health

import (
	"context"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Source finds services, as agent.Source does.
type Source interface {
	Name() string
	Run(ctx context.Context, found func([]hosts.Service)) error
}

// Wrap gives a source of the same services with their health. What the inner one says of
// a service's health counts where it is not checked, and where it says that the service
// is unhealthy or draining.
func (m *Monitor) Wrap(inner Source) Source { return &checked{m, inner} }

type checked struct {
	monitor *Monitor
	inner   Source
}

// Name implements agent.Source.
func (c *checked) Name() string { return c.inner.Name() }

// Run implements agent.Source.
func (c *checked) Run(ctx context.Context, found func([]hosts.Service)) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{monitor: c.monitor, source: c.inner.Name(), known: map[string]*one{}, news: make(chan news)}
	defer w.workers.Wait()
	defer cancel()
	lists, ended := make(chan []hosts.Service), make(chan error, 1)
	go func() {
		ended <- c.inner.Run(ctx, func(list []hosts.Service) {
			select {
			case lists <- list:
			case <-ctx.Done():
			}
		})
	}()
	var done <-chan struct{} // once the inner source has no more to say
	for {
		select {
		case err := <-ended:
			if err != nil || ctx.Err() != nil {
				return err
			}
			ended, done = nil, ctx.Done()
		case <-done:
			return nil
		case list := <-lists:
			w.listed(ctx, list)
			w.tell(found)
		case n := <-w.news:
			w.heard(n)
			w.tell(found)
		}
	}
}
