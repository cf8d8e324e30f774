package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// revocationKept is how long a revocation is kept: until the last certificate that
// it is about has expired, which it could not renew.
const revocationKept = 31 * 24 * time.Hour

// Revoke revokes the certificates of an identity or of a workload, and ends the
// identity's join tokens: whoever has the one may have the other.
func (s *Store) Revoke(ctx context.Context, of string, w Write) (mesh.Revocation, error) {
	made := mesh.Revocation{Of: of}
	tried := "revoke the certificates of " + quoted(of)
	if err := mesh.Invalid("revoke certificates", made.Validate()); err != nil {
		return mesh.Revocation{}, err
	}
	if err := s.revokeJoinTokens(ctx, made.Identity(), w); err != nil {
		return mesh.Revocation{}, err
	}
	made.At = timeNow().UTC() // who joined while the tokens were ended is revoked, too
	value, err := revocations.encode(made, w, made.At)
	if err != nil {
		return mesh.Revocation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	lease, err := s.client.Grant(ctx, int64(revocationKept/time.Second))
	if err != nil {
		return mesh.Revocation{}, refusal(err, tried)
	}
	t := s.newTxn(tried, Write{})
	t.do(clientv3.OpPut(revocations.key(&made), string(value), clientv3.WithLease(lease.ID)))
	t.audit = auditOfRevocation(w, "revoke", made)
	_, revision, err := t.commit(ctx, "", nil)
	if err != nil {
		s.revoke(ctx, []clientv3.LeaseID{lease.ID})
		return mesh.Revocation{}, err
	}
	made.Meta = mesh.Meta{Revision: revision, Author: w.Author, Source: w.Source, UpdatedAt: made.At}
	return made, nil
}

// auditOfRevocation is the entry of what became of a revocation.
func auditOfRevocation(w Write, action string, of mesh.Revocation) *mesh.AuditEntry {
	whose := of.Identity()
	object := of.Of // workload/NAME
	if whose != (mesh.Identity{}) {
		object = "identity/" + of.Of
	}
	entry := w.entry(action, object)
	if whose.Kind == mesh.ServiceIdentity {
		entry.Service = whose.Name
	}
	return &entry
}

// revokeJoinTokens ends the join tokens of an identity.
func (s *Store) revokeJoinTokens(ctx context.Context, of mesh.Identity, w Write) error {
	if of == (mesh.Identity{}) {
		return nil
	}
	all, err := s.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, token := range all {
		if token.Identity() != of {
			continue
		}
		if err := s.RevokeToken(ctx, token.ID, w); err != nil && mesh.KindOf(err) != mesh.KindNotFound {
			return err
		}
	}
	return nil
}

// Unrevoke takes a revocation back.
func (s *Store) Unrevoke(ctx context.Context, of string, w Write) error {
	one := mesh.Revocation{Of: of}
	if err := mesh.Invalid("take a revocation back", one.Validate()); err != nil {
		return err
	}
	key := revocations.key(&one)
	t := s.newTxn("take the revocation of "+quoted(of)+" back", Write{})
	t.require(clientv3.Compare(clientv3.CreateRevision(key), ">", 0), clientv3.OpGet(key, clientv3.WithKeysOnly()), func([]*mvccpb.KeyValue) error {
		return mesh.NotFound("%s is not revoked", of)
	})
	t.do(clientv3.OpDelete(key))
	t.audit = auditOfRevocation(w, "unrevoke", one)
	_, _, err := t.commit(ctx, "", nil)
	return err
}

// Revocations lists what is revoked.
func (s *Store) Revocations(ctx context.Context) ([]mesh.Revocation, error) {
	list := []mesh.Revocation{}
	_, err := s.pages(ctx, revocationPrefix, 0, func(kv *mvccpb.KeyValue) {
		var one mesh.Revocation
		if err := json.Unmarshal(kv.Value, &one); err == nil {
			one.Meta.Revision = kv.ModRevision
			list = append(list, one)
		}
	})
	if err != nil {
		return nil, refusal(err, "list the revocations")
	}
	slices.SortFunc(list, func(a, b mesh.Revocation) int { return cmp.Compare(a.Of, b.Of) })
	return list, nil
}
