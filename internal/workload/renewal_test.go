package workload

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestAnExpiredCertificateDoesNotFillTheLog has a workload whose certificate is not
// renewed any more, and whose join token is used up: it says so once, asks seldom, and
// takes a new token within seconds.
func TestAnExpiredCertificateDoesNotFillTheLog(t *testing.T) {
	i := newIssuer(t, 12*time.Second)
	cfg := i.config(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer // read while Run sleeps
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		lifetime := 12 * time.Second
		held, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		refuse := func(why string) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.refuse = func() error { return mesh.Denied("%s", why) }
		}
		refuse("used up")
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { held.Run(ctx) })
		defer func() { cancel(); running.Wait() }()

		time.Sleep(lifetime + 4*time.Minute)
		synctest.Wait()
		if said := strings.Count(log.String(), "the certificate has expired"); said != 1 || !strings.Contains(log.String(), "used up") {
			t.Errorf("it is said %d times:\n%s", said, log.String())
		}
		before, _ := i.asked()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if after, _ := i.asked(); len(after)-len(before) < 5 || len(after)-len(before) > 21 {
			t.Errorf("it asked %d times in 5 minutes, want once in 30 s or so", len(after)-len(before))
		}

		refuse("revoked")
		time.Sleep(time.Minute)
		synctest.Wait()
		if said := strings.Count(log.String(), "the certificate has expired"); said != 2 || !strings.Contains(log.String(), "revoked") {
			t.Errorf("of another reason it is said %d times:\n%s", said, log.String())
		}

		i.mu.Lock()
		i.refuse = func() error {
			if token := i.tokens[len(i.tokens)-1]; !strings.HasPrefix(token, "hdj_new_") {
				return mesh.Denied("revoked")
			}
			return nil
		}
		i.mu.Unlock()
		expired := held.current()
		if err := os.WriteFile(cfg.JoinTokenFile, []byte(identity.FormatJoinToken("hdj_new_b", i.authority.Pin())), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if held.current() == expired {
			t.Error("the new join token was not taken")
		}
	})
}
