package demo

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
)

const (
	// loadWorkers send a checkout each loadPace: a steady stream that leaves room
	// on two cores, on which a dozen Envoys and the control plane run too.
	loadWorkers = 4
	loadPace    = 40 * time.Millisecond
	// keptFailures bounds how many failures are told one by one.
	keptFailures = 20
)

// Failure is one request that was to succeed and did not.
type Failure struct {
	At     string `json:"at"` // since the load began
	During string `json:"during"`
	Why    string `json:"why"`
}

// load keeps requests flowing through the gateway, and counts every request that is
// to succeed, those of the checks included.
type load struct {
	fronts []*front
	began  time.Time

	mu       sync.Mutex // guards what follows
	during   string     // the check under way
	sent     int
	failed   int
	failures []Failure
	answered map[string]int // by instance
	lastGood time.Time
	pause    time.Duration // longest without a good answer, since resetPause
}

// count is what a load had seen at one moment.
type count struct {
	sent, failed int
	answered     map[string]int
	pause        time.Duration
}

func newLoad(fronts []*front) *load {
	now := time.Now()
	return &load{fronts: fronts, began: now, lastGood: now, answered: map[string]int{}}
}

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
func (l *load) note(answer shop.Answer, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.failed++
		if len(l.failures) < keptFailures {
			l.failures = append(l.failures, Failure{At: since(l.began).String(), During: l.during, Why: err.Error()})
		}
		return
	}
	l.pause = max(l.pause, now.Sub(l.lastGood))
	l.lastGood = now
	l.noteInstances(&answer)
}

func (l *load) noteInstances(answer *shop.Answer) { // with mu held
	l.answered[answer.Instance]++
	for i := range answer.Calls {
		l.noteInstances(&answer.Calls[i])
	}
}

// enter names the check that is under way, for failures.
func (l *load) enter(check string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.during = check
}

// resetPause begins to measure pauses anew.
func (l *load) resetPause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause, l.lastGood = 0, time.Now()
}

func (l *load) count() count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return count{l.sent, l.failed, maps.Clone(l.answered), max(l.pause, time.Since(l.lastGood))}
}

// more waits until n more requests of the load were answered than at before.
func (l *load) more(ctx context.Context, before count, n int) error {
	return poll(ctx, 20*time.Second, fmt.Sprintf("%d more requests", n), func(context.Context) error {
		if now := l.count(); now.sent-now.failed < before.sent-before.failed+n {
			return fmt.Errorf("%d were sent, %d failed", now.sent-before.sent, now.failed-before.failed)
		}
		return nil
	})
}
