package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Keys are fetched again when they are old, sooner when they could not be had, and
// what was there stays until then.
func TestKeysAreFetchedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fetched atomic.Int64
		var down atomic.Bool
		k := newKeys(func(context.Context) (keySet, error) {
			fetched.Add(1)
			if down.Load() {
				return nil, errors.New("down")
			}
			return keySet{"a": jose.JSONWebKey{KeyID: "a"}}, nil
		}, time.Now, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		go k.run(ctx)
		defer synctest.Wait()
		defer cancel()
		expect := func(what string, n int64) {
			t.Helper()
			synctest.Wait()
			if got := fetched.Swap(0); got != n {
				t.Errorf("%s: fetched %d times, want %d", what, got, n)
			}
			if _, err := k.find(t.Context(), "a"); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		expect("at the start", 1)
		time.Sleep(refreshEvery - time.Second)
		expect("before it is old", 0)
		time.Sleep(2 * time.Second)
		expect("when it is old", 1)
		down.Store(true)
		time.Sleep(refreshEvery + 3*fetchApart)
		expect("while it is down", 4)
		down.Store(false)
		time.Sleep(fetchApart)
		expect("when it is back", 1)
		time.Sleep(refreshEvery - 2*time.Second)
		expect("and then", 0)
	})
}

// Who asks while a fetch is under way waits for it, up to a number; nobody waits
// for one that will not come.
func TestWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(func(ctx context.Context) (keySet, error) {
			select {
			case <-time.After(3 * time.Second):
				return keySet{"a": jose.JSONWebKey{KeyID: "a"}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, time.Now, slog.New(slog.DiscardHandler))
		var found, turned atomic.Int64
		for range maxWaiting + 10 { // before it runs at all
			go func() {
				switch _, err := k.find(t.Context(), "a"); {
				case err == nil:
					found.Add(1)
				case reasonOf(t, err) == "unavailable":
					turned.Add(1)
				}
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go k.run(ctx)
		time.Sleep(4 * time.Second)
		if found.Load() != maxWaiting || turned.Load() != 10 {
			t.Errorf("%d found it, %d were turned away", found.Load(), turned.Load())
		}
		if _, err := k.find(t.Context(), "b"); !errors.Is(err, errUnknownKey) {
			t.Errorf("asked too soon: %v", err)
		}
		time.Sleep(fetchApart)
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		if _, err := k.find(t.Context(), "b"); reasonOf(t, err) != "unavailable" {
			t.Errorf("it ended meanwhile: %v", err)
		}
		if _, err := k.find(t.Context(), "b"); reasonOf(t, err) != "unavailable" {
			t.Errorf("it has ended: %v", err)
		}
	})
}
