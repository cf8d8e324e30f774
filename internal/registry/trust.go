package registry

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// PutTokenKeys replaces the public keys by which tokens are checked. It gives a
// conflict when keys or orders are no longer those of before.
func (s *Store) PutTokenKeys(ctx context.Context, keys mesh.TokenKeys, before Trust, w Write) error {
	const tried = "write the public keys of tokens"
	if err := mesh.Invalid(tried, keys.Validate()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	value, err := tokenKeys.encode(keys, w, timeNow())
	if err != nil {
		return err
	}
	entry := w.entry("replace", "token-keys")
	audit, err := auditOp(&entry)
	if err != nil {
		return err
	}
	var replaced int64 // the revision of what is not there
	if before.Keys != nil {
		replaced = before.Keys.Meta.Revision
	}
	answer, err := s.client.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision(tokenKeysKey), "=", replaced),
		clientv3.Compare(clientv3.ModRevision(keyOrdersKey), "=", before.Orders.Meta.Revision),
	).Then(clientv3.OpPut(tokenKeysKey, string(value)), audit).Commit()
	if err != nil {
		return refusal(err, tried)
	}
	if !answer.Succeeded {
		return mesh.Conflict("%s: somebody else did meanwhile", tried)
	}
	s.audited(ctx, &entry, answer.Header.Revision)
	return nil
}

// Trust is what AuthZ services have to know of each other, at one moment.
type Trust struct {
	// Keys are the public keys; nil when there are none. Of a value that cannot
	// be read only the revision is there.
	Keys        *mesh.TokenKeys
	Authorizers []mesh.Authorizer
	Orders      mesh.KeyOrders
}

// Trust reads it, from etcd's majority.
func (s *Store) Trust(ctx context.Context) (Trust, error) {
	const tried = "read what AuthZ services have published"
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.client.Txn(ctx).Then(clientv3.OpGet(tokenKeysKey), clientv3.OpGet(authorizerPrefix, clientv3.WithPrefix()), clientv3.OpGet(keyOrdersKey)).Commit()
	if err != nil {
		return Trust{}, refusal(err, tried)
	}
	var t Trust
	for _, kv := range got.Responses[0].GetResponseRange().GetKvs() {
		keys, err := tokenKeys.decode(tokenKeysKey, kv.Value, kv.ModRevision)
		if err != nil {
			keys = &mesh.TokenKeys{Meta: mesh.Meta{Revision: kv.ModRevision}}
		}
		t.Keys = keys
	}
	for _, kv := range got.Responses[1].GetResponseRange().GetKvs() {
		if a, err := authorizers.decode(string(kv.Key), kv.Value, kv.ModRevision); err == nil {
			t.Authorizers = append(t.Authorizers, *a)
		}
	}
	for _, kv := range got.Responses[2].GetResponseRange().GetKvs() {
		// Passed over, a key that was revoked would be taken again.
		if err := json.Unmarshal(kv.Value, &t.Orders); err != nil {
			return Trust{}, &mesh.Error{Kind: mesh.KindUnavailable, Reason: mesh.ReasonCorrupt, Message: tried + ": the value of " + keyOrdersKey + " in etcd is corrupt", Err: err}
		}
		t.Orders.Meta.Revision = kv.ModRevision
	}
	return t, nil
}

// announceTTL is how long an AuthZ service that is gone without a word is asked
// all the same; sidecars leave out one that refuses connections at once.
const announceTTL = 15 * time.Second

// Announce keeps an AuthZ service among those that sidecars ask, until ctx ends.
// While etcd is away it is tried again and again; failing is told why, once for
// each outage, and nil when it is over.
func (s *Store) Announce(ctx context.Context, a mesh.Authorizer, failing func(error)) error {
	if err := mesh.Invalid("announce the AuthZ service", a.Validate()); err != nil {
		return err
	}
	var lease clientv3.LeaseID // NoLease
	defer func() {
		if lease != clientv3.NoLease {
			s.revoke(ctx, []clientv3.LeaseID{lease})
		}
	}()
	failed := false
	for {
		var err error
		lease, err = s.announced(ctx, a, lease)
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != failed {
			failed = err != nil
			failing(err)
		}
		pause := announceTTL / 3
		if failed {
			pause = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// announced renews the lease, or registers anew if there is none (any more), or if
// somebody removed what was registered.
func (s *Store) announced(ctx context.Context, a mesh.Authorizer, lease clientv3.LeaseID) (clientv3.LeaseID, error) {
	const tried = "announce the AuthZ service"
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if lease != clientv3.NoLease {
		_, err := s.client.KeepAliveOnce(ctx, lease)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			lease = clientv3.NoLease
		case err != nil:
			return lease, refusal(err, tried)
		}
	}
	if lease == clientv3.NoLease {
		granted, err := s.client.Grant(ctx, int64(announceTTL/time.Second))
		if err != nil {
			return clientv3.NoLease, refusal(err, tried)
		}
		lease = granted.ID
	}
	key := authorizers.key(&a)
	value, err := authorizers.encode(a, Write{Author: "authz", Source: "authz"}, timeNow())
	if err == nil {
		_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.LeaseValue(key), "=", lease)).
			Else(clientv3.OpPut(key, string(value), clientv3.WithLease(lease))).Commit()
	}
	return lease, refusal(err, tried)
}
