package registry_test

import (
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestKeysArePublishedOverWhatWasFound(t *testing.T) {
	store := openStore(t)
	ctx := t.Context()
	keys := mesh.TokenKeys{Issuer: "https://mesh", JWKS: []byte(`{"keys":[{"kid":"1"}]}`), Schedule: []mesh.KeyTime{{ID: "1"}}}
	trust := func() registry.Trust {
		t.Helper()
		found, err := store.Trust(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	none := trust()
	if err := store.PutTokenKeys(ctx, keys, none, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if err := store.PutTokenKeys(ctx, keys, none, registry.Write{}); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("over other keys: %v", err)
	}
	before := trust()
	if err := store.RotateKeys(ctx, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if err := store.PutTokenKeys(ctx, keys, before, registry.Write{}); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("over other orders: %v", err)
	}
	if err := store.PutTokenKeys(ctx, keys, trust(), registry.Write{}); err != nil {
		t.Errorf("over what is there: %v", err)
	}
	if err := store.RevokeKey(ctx, "2", registry.Write{}); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("a key that is not published is revoked: %v", err)
	}
	for range 2 {
		if err := store.RevokeKey(ctx, "1", registry.Write{Author: "ada"}); err != nil {
			t.Error(err)
		}
	}
	if err := store.WithdrawKeys(ctx, true, registry.Write{}); err != nil {
		t.Error(err)
	}
	found := trust()
	if found.Keys != nil || !found.Orders.Withdrawn || len(found.Orders.Revoked) != 1 || found.Orders.Revoked[0].Author != "ada" || found.Orders.Rotation == "" {
		t.Errorf("found %+v", found)
	}
	if err := store.RotateKeys(ctx, registry.Write{By: registry.Token{Service: "orders"}}); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("by who may not: %v", err)
	}
}
