package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestWhatSidecarsTrustIsWatchedAndNotForReadersOfDeclarations(t *testing.T) {
	store := openStore(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	changes := make(chan mesh.Change, 16)
	watched, followed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(watched)
		store.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) {
			for _, c := range b.Changes {
				changes <- c
			}
		})
	}()
	strangers := make(chan mesh.Change, 16)
	go func() {
		followed <- store.Follow(ctx, 0, func(b registry.Batch) error {
			for _, c := range b.Changes {
				strangers <- c
			}
			return nil
		})
	}()
	next := func(from chan mesh.Change) mesh.Change {
		select {
		case c := <-from:
			return c
		case <-ctx.Done():
			t.Fatal("nothing came")
			return mesh.Change{}
		}
	}

	if err := store.PutTokenKeys(ctx, mesh.TokenKeys{Issuer: "https://mesh", JWKS: []byte(`{"keys":[]}`)}, registry.Trust{}, registry.Write{}); mesh.KindOf(err) != mesh.KindInvalid {
		t.Errorf("a set without keys: %v", err)
	}
	if err := store.PutTokenKeys(ctx, mesh.TokenKeys{Issuer: "https://mesh", JWKS: []byte(`{"keys":[{"kid":"1"}]}`)}, registry.Trust{}, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if c := next(changes); c.TokenKeys == nil || c.TokenKeys.Issuer != "https://mesh" || string(c.TokenKeys.JWKS) != `{"keys":[{"kid":"1"}]}` {
		t.Errorf("keys: %+v", c)
	}

	announced, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- store.Announce(announced, mesh.Authorizer{ID: "one", Address: "127.0.0.1", Port: 18001}, func(err error) { t.Error(err) })
	}()
	if c := next(changes); c.Authorizer == nil || c.Deleted || c.Authorizer.Port != 18001 {
		t.Errorf("authorizer: %+v", c)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c := next(changes); c.Authorizer == nil || !c.Deleted || c.Authorizer.ID != "one" {
		t.Errorf("authorizer that ended: %+v", c)
	}

	if _, err := store.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{"a": 1.0}}, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if c := next(strangers); c.Runtime == nil {
		t.Errorf("a reader of declarations was told %+v", c)
	}
	cancel()
	<-watched
	if err := <-followed; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended: %v", err)
	}
}
