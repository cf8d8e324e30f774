package agentcli

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

func TestMemoryIsGivenBackOnceAfterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes, given := make(chan struct{}, 1), 0
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
		go func() { defer close(ended); whenQuiet(ctx, wait, func() { given++ }) }()
		expect := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if given != want {
				t.Errorf("%d times, not %d", given, want)
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
