package registry

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// SigningKeys keeps the keys that the AuthZ service signs with, as one value
// that somebody else has encrypted.
type SigningKeys struct{ store *Store }

// SigningKeys gives the place for them.
func (s *Store) SigningKeys() SigningKeys { return SigningKeys{s} }

// Read gives the value and its revision; revision 0 means that there is none.
func (k SigningKeys) Read(ctx context.Context) ([]byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, k.store.timeout)
	defer cancel()
	got, err := k.store.client.Get(ctx, signingKeysKey)
	if err != nil {
		return nil, 0, refusal(err, "read the signing keys")
	}
	if len(got.Kvs) == 0 {
		return nil, 0, nil
	}
	return got.Kvs[0].Value, got.Kvs[0].ModRevision, nil
}

// Write replaces the value that has this revision, and gives a conflict when
// there is another one by now.
func (k SigningKeys) Write(ctx context.Context, value []byte, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, k.store.timeout)
	defer cancel()
	entry := Write{Author: "authz", Source: "authz"}.entry("replace", "signing-keys")
	entry.Previous = revision
	audit, err := auditOp(&entry)
	if err != nil {
		return err
	}
	answer, err := k.store.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(signingKeysKey), "=", revision)).
		Then(clientv3.OpPut(signingKeysKey, string(value)), audit).Commit()
	if err != nil {
		return refusal(err, "write the signing keys")
	}
	if !answer.Succeeded {
		return mesh.Conflict("write the signing keys: somebody else did meanwhile")
	}
	k.store.audited(ctx, &entry, answer.Header.Revision)
	return nil
}
