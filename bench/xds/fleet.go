package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// fleet is all the sidecars of one server.
type fleet struct {
	sidecars []*sidecar
	cancel   context.CancelFunc
	work     sync.WaitGroup
	failed   chan error // the first fault of a sidecar
	ready    chan struct{}

	closed        atomic.Bool
	missing       atomic.Int64 // sidecars that are not complete
	round         atomic.Pointer[round]
	bytes         atomic.Int64 // received, of messages
	resourceBytes atomic.Int64 // of those, the resources
	responses     atomic.Int64
}

// patience bounds each wait for a server.
const patience = 2 * time.Minute

// member is what one sidecar of a fleet is.
type member struct {
	node   string
	calls  []string
	routes string
	known  map[string]map[string]string // versions to come back with
	keeper bool                         // it remembers the versions that it is sent
}

// connect opens all streams at once. It returns at once too; await waits.
func connect(ctx context.Context, address string, members []member) *fleet {
	f := &fleet{failed: make(chan error, 1), ready: make(chan struct{})}
	ctx, f.cancel = context.WithCancel(ctx)
	f.missing.Store(int64(len(members)))
	for _, m := range members {
		s := &sidecar{fleet: f, node: m.node, calls: m.calls, routes: m.routes, known: m.known}
		if m.keeper {
			s.versions = map[string]map[string]string{}
		}
		f.sidecars = append(f.sidecars, s)
		f.work.Go(func() {
			err := s.dial(ctx, address)
			if err == nil {
				err = s.receive()
			}
			if err != nil && !f.closed.Load() {
				select {
				case f.failed <- err:
				default:
				}
			}
		})
	}
	return f
}

func (f *fleet) completed() {
	if f.missing.Add(-1) == 0 {
		close(f.ready)
	}
}

// await waits until every sidecar is complete.
func (f *fleet) await(ctx context.Context) error {
	return f.wait(ctx, f.ready, "all streams to be complete")
}

func (f *fleet) wait(ctx context.Context, what <-chan struct{}, title string) error {
	select {
	case <-what:
		return nil
	case err := <-f.failed:
		return err
	case <-time.After(patience):
		return fmt.Errorf("waited %s in vain for %s", patience, title)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// quiet waits until nothing has come for a while.
func (f *fleet) quiet(ctx context.Context, still time.Duration) error {
	deadline := time.Now().Add(patience)
	for before := int64(-1); ; {
		now := f.responses.Load()
		if now == before {
			return nil
		}
		before = now
		select {
		case <-time.After(still):
		case err := <-f.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return errors.New("the server does not stop sending")
		}
	}
}

// close ends all streams and waits for them.
func (f *fleet) close() {
	f.closed.Store(true)
	for _, s := range f.sidecars {
		if s.connection != nil {
			_ = s.connection.Close()
		}
	}
	f.cancel()
	f.work.Wait()
}
