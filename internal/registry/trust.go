package registry

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// PutTokenKeys replaces the public keys by which tokens are checked.
func (s *Store) PutTokenKeys(ctx context.Context, keys mesh.TokenKeys) error {
	if err := mesh.Invalid("write the public keys of tokens", keys.Validate()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	value, err := tokenKeys.encode(keys, Write{Author: "authz", Source: "authz"}, timeNow())
	if err != nil {
		return err
	}
	entry := Write{Author: "authz", Source: "authz"}.entry("replace", "token-keys")
	audit, err := auditOp(&entry)
	if err != nil {
		return err
	}
	answer, err := s.client.Txn(ctx).Then(clientv3.OpPut(tokenKeysKey, string(value)), audit).Commit()
	if err != nil {
		return refusal(err, "write the public keys of tokens")
	}
	s.audited(ctx, &entry, answer.Header.Revision)
	return nil
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

// announced renews the lease, or registers anew if there is none (any more).
func (s *Store) announced(ctx context.Context, a mesh.Authorizer, lease clientv3.LeaseID) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if lease != clientv3.NoLease {
		_, err := s.client.KeepAliveOnce(ctx, lease)
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return lease, refusal(err, "keep the AuthZ service announced")
		}
	}
	granted, err := s.client.Grant(ctx, int64(announceTTL/time.Second))
	if err != nil {
		return clientv3.NoLease, refusal(err, "announce the AuthZ service")
	}
	value, err := authorizers.encode(a, Write{Author: "authz", Source: "authz"}, timeNow())
	if err == nil {
		_, err = s.client.Put(ctx, authorizers.key(&a), string(value), clientv3.WithLease(granted.ID))
	}
	return granted.ID, refusal(err, "announce the AuthZ service")
}
