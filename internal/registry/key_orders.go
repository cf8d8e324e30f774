package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// RevokeKey has no AuthZ service use a signing key ever again. It
// takes effect once an AuthZ service acts on it.
func (s *Store) RevokeKey(ctx context.Context, id string, w Write) error {
	return s.order(ctx, "revoke", "key/"+id, w, func(t Trust, o *mesh.KeyOrders) ([]clientv3.Op, error) {
		if o.Revokes(id) {
			return nil, nil
		}
		if !t.publishes(id) {
			return nil, mesh.NotFound("no published key has the id %s", quoted(id))
		}
		o.Revoked = append(o.Revoked, mesh.RevokedKey{ID: id, At: timeNow().UTC(), Author: w.Author})
		slices.SortFunc(o.Revoked, func(a, b mesh.RevokedKey) int { return cmp.Compare(a.ID, b.ID) })
		return nil, nil
	})
}

// RotateKeys has the next signing key begin now.
func (s *Store) RotateKeys(ctx context.Context, w Write) error {
	return s.order(ctx, "rotate", "keys", w, func(_ Trust, o *mesh.KeyOrders) ([]clientv3.Op, error) {
		o.Rotation = timeNow().UTC().Format("2006-01-02T15:04:05.000000000Z")
		return nil, nil
	})
}

// WithdrawKeys takes away the public keys, so that sidecars neither ask for tokens
// nor check them, and keeps AuthZ services from publishing any, or ends that.
func (s *Store) WithdrawKeys(ctx context.Context, withdrawn bool, w Write) error {
	action := "publish"
	if withdrawn {
		action = "withdraw"
	}
	return s.order(ctx, action, "keys", w, func(_ Trust, o *mesh.KeyOrders) ([]clientv3.Op, error) {
		o.Withdrawn = withdrawn
		if withdrawn {
			return []clientv3.Op{clientv3.OpDelete(tokenKeysKey)}, nil
		}
		return nil, nil
	})
}

// publishes says whether a key is among the published ones.
func (t *Trust) publishes(id string) bool {
	return t.Keys != nil && slices.ContainsFunc(t.Keys.Schedule, func(k mesh.KeyTime) bool { return k.ID == id })
}

// order changes the orders, and more with them, unless change refuses.
func (s *Store) order(ctx context.Context, action, object string, w Write, change func(Trust, *mesh.KeyOrders) ([]clientv3.Op, error)) error {
	tried := action + " " + object
	if !w.By.Admin() {
		return mesh.Denied("the access token is limited to %s; the keys of all tokens need one that is not limited", w.By.limit())
	}
	for tries := 1; ; tries++ {
		trust, err := s.Trust(ctx)
		if err != nil {
			return err
		}
		orders := trust.Orders
		orders.Revoked = slices.Clone(orders.Revoked)
		ops, err := change(trust, &orders)
		if err != nil {
			return err
		}
		orders.Meta = mesh.Meta{Author: w.Author, Source: w.Source, UpdatedAt: timeNow().UTC()}
		value, err := json.Marshal(orders)
		if err != nil {
			return &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
		}
		t := s.newTxn(tried, Write{})
		t.guard(at(keyOrdersKey, trust.Orders.Meta.Revision))
		t.do(append(ops, clientv3.OpPut(keyOrdersKey, string(value)))...)
		entry := w.entry(action, object)
		entry.Previous = trust.Orders.Meta.Revision
		t.audit = &entry
		if _, _, err = t.commit(ctx, "", nil); tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			return err
		}
	}
}
