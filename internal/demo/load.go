package demo

import (
	"context"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

const (
	// loadWorkers send a checkout each loadPace: a steady stream that leaves room
	// on two cores, on which a dozen Envoys and the control plane run too.
	loadWorkers = 4
	loadPace    = 40 * time.Millisecond
)

// load keeps requests flowing through the gateway, and counts every request that is
// to succeed, those of the checks included.
type load struct {
	*stage.Tally
	fronts []*front
}

func newLoad(fronts []*front) *load { return &load{stage.NewTally(), fronts} }

// run sends checkouts until ctx ends; those under way are finished.
func (l *load) run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for n := range loadWorkers {
		workers.Go(func() {
			tick := time.NewTicker(loadPace)
			defer tick.Stop()
			for turn := n; ; turn++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				l.checkout(context.WithoutCancel(ctx), l.fronts[turn%len(l.fronts)])
			}
		})
	}
}

// checkout makes one counted request that goes the whole way.
func (l *load) checkout(ctx context.Context, f *front) {
	answer, err := f.ask(ctx, "/checkout")
	if err == nil {
		err = visited(&answer)
	}
	l.note(answer, err)
}

// order makes one counted request from web to orders, and tells which instance
// of orders answered.
func (l *load) order(ctx context.Context, f *front) (shop.Answer, error) {
	answer, err := f.ask(ctx, "/orders")
	if err == nil {
		err = answer.Check(shop.Web, shop.Orders)
	}
	if err != nil && ctx.Err() != nil {
		return shop.Answer{}, err // given up by the check, not failed
	}
	l.note(answer, err)
	if err != nil {
		return shop.Answer{}, err
	}
	return answer.Calls[0], nil
}

// call makes one counted request from web to any service.
func (l *load) call(ctx context.Context, f *front, service string) (shop.Answer, error) {
	answer, err := f.ask(ctx, "/call/"+service)
	if err == nil {
		err = answer.Check(service)
	}
	if err != nil && ctx.Err() != nil {
		return shop.Answer{}, err
	}
	l.note(answer, err)
	return answer, err
}

// note counts one request that has ended.
func (l *load) note(answer shop.Answer, err error) { l.Note(err, instances(&answer)...) }

// instances are those that an answer went by.
func instances(answer *shop.Answer) []string {
	list := []string{answer.Instance}
	for i := range answer.Calls {
		list = append(list, instances(&answer.Calls[i])...)
	}
	return list
}
