package agentcli

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

func TestMemoryIsGivenBackOnceAfterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan struct{}, 1)
		var given atomic.Int32
		wait := func(ctx context.Context) (*hosts.State, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-changes:
				return nil, nil
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); whenQuiet(ctx, wait, func() { given.Add(1) }) }()
		expect := func(after time.Duration, want int32) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := given.Load(); got != want {
				t.Errorf("%d times, not %d", got, want)
			}
		}
		expect(10*quietTime, 0) // nothing has ever changed
		for range 5 {
			changes <- struct{}{}
			expect(quietTime-time.Second, 0)
		}
		expect(time.Second, 1)
		expect(10*quietTime, 1)
		changes <- struct{}{}
		expect(quietTime, 2)
		changes <- struct{}{}
		cancel()
		<-ended
		expect(2*quietTime, 2)
	})
}
