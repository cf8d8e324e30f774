package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// While it cannot be asked all stays as it is, and what nothing else speaks for is in
// doubt after a while; it is told when that begins, and not at each try.
func TestWhatOnlyItSpeaksForComesInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Buffer
		var told atomic.Value // a string
		told.Store("")
		a := &Authority{Name: "systemd", Patience: 10 * time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil)), Found: func(list []hosts.Service) {
			text := ""
			for _, s := range list {
				text += fmt.Sprintf("%s %s%s;", s.ID, s.Health, s.Reason)
			}
			told.Store(text)
		}}
		var away atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.Follow(ctx, func(context.Context) error {
				if !away.Load() {
					a.Says([]hosts.Service{{ID: "runs", Check: hosts.Check{Kind: hosts.CheckNone}}, {ID: "checked"}, {ID: "asked", Check: hosts.Check{Kind: hosts.CheckEngine}},
						{ID: "ends", Check: hosts.Check{Kind: hosts.CheckNone}, Health: hosts.Draining}})
				}
				return errors.New("no")
			})
		}()
		after := func(wait time.Duration, want string, warnings int) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if told := told.Load(); told != want {
				t.Errorf("told %q, to be %q", told, want)
			}
			if got := strings.Count(log.String(), "level=WARN"); got != warnings {
				t.Errorf("logged %d times, to be %d:\n%s", got, warnings, log.String())
			}
		}
		as := "asked ;checked ;ends draining;runs ;"
		after(time.Second/2, as, 1)
		away.Store(true)
		after(9*time.Minute, as, 2) // it came and went in between
		after(3*time.Minute, "asked systemd cannot be asked;checked ;ends draining;runs systemd cannot be asked;", 3)
		away.Store(false)
		after(5*time.Second, as, 4) // and goes again
		if got := strings.Count(log.String(), "systemd answers again"); got == 0 {
			t.Errorf("nobody is told that it answers again:\n%s", log.String())
		}
		cancel()
		<-done
	})
}
