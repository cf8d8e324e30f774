package registry

import (
	"context"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Who may write what. A write is judged by what is stored, in the same transaction:
// guards make sure that nothing of what it was judged by has changed meanwhile.

// Admin says whether the token's holder may write everything.
func (t Token) Admin() bool { return t.Kind == "" && t.Service == "" && len(t.Owners) == 0 }

// MayWrite says whether the token's holder may write a service and its
// instances, as far as the token alone can tell: whether an owner's token may
// depends on whose the service is, which is judged when it is written.
func (t Token) MayWrite(service mesh.ServiceName) bool {
	return t.Kind == "" && (t.Service == "" || t.Service == service)
}

// Owns says whether the token is one of this owner's.
func (t Token) Owns(owner string) bool { return slices.Contains(t.Owners, owner) }

// limit says in words what a token is limited to.
func (t Token) limit() string {
	switch {
	case t.Kind == InstancesToken:
		return "the instances of service " + quoted(string(t.Service))
	case t.Kind == ReaderToken:
		return "reading"
	case t.Kind == KeeperToken:
		return "what " + string(t.Keeper) + " keeps"
	case t.Service != "":
		return "service " + quoted(string(t.Service))
	}
	owners := make([]string, len(t.Owners))
	for i, owner := range t.Owners {
		owners[i] = quoted(owner)
	}
	return "what belongs to " + strings.Join(owners, ", ")
}

// found is what a write finds: object is nil when there is none, or when what
// there is cannot be read.
type found[T any] struct {
	object   *T
	revision int64 // 0: there is none

	// Of an object with a history:
	value []byte             // as it is stored
	read  int64              // etcd's revision at which all of this was found
	past  []*mvccpb.KeyValue // the keys of what is kept of it, oldest first
}

// unreadable says that something is there and nobody can tell whose it is.
func (f found[T]) unreadable() bool { return f.object == nil && f.revision != 0 }

// right judges a write; after is nil for a deletion.
type right[T any] func(ctx context.Context, by Token, before found[T], after *T) ([]guard, error)

// guard is something that has to be as it was when a write was judged.
type guard struct {
	condition clientv3.Cmp
	look      clientv3.Op // finds what changed, or else nothing
	changed   func(found []*mvccpb.KeyValue) bool
}

// at guards one key: it still has this revision, 0 for not being there.
func at(key string, revision int64) guard {
	return guard{
		condition: clientv3.Compare(clientv3.ModRevision(key), "=", revision),
		look:      clientv3.OpGet(key, clientv3.WithKeysOnly()),
		changed: func(found []*mvccpb.KeyValue) bool {
			if len(found) == 0 {
				return revision != 0
			}
			return found[0].ModRevision != revision
		},
	}
}

// noneNewer guards a prefix: nothing below it was written after the revision.
func noneNewer(prefix string, revision int64) guard {
	return guard{
		condition: clientv3.Compare(clientv3.ModRevision(prefix), "<", revision+1).WithPrefix(),
		look:      clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMinModRev(revision+1), clientv3.WithLimit(1)),
		changed:   func(found []*mvccpb.KeyValue) bool { return len(found) > 0 },
	}
}

// guard adds guards; one that does not hold is errOvertaken.
func (t *txn) guard(guards ...guard) {
	for _, one := range guards {
		t.require(one.condition, one.look, func(found []*mvccpb.KeyValue) error {
			if one.changed(found) {
				return &mesh.Error{Kind: mesh.KindConflict, Message: t.tried, Err: errOvertaken}
			}
			return nil
		})
	}
}

// serviceRight: the owner's, before and after; and who has a token for the
// service, who may not hand it over.
func serviceRight(_ context.Context, by Token, before found[mesh.Service], after *mesh.Service) ([]guard, error) {
	return nil, judgeService(by, before, after)
}

// unreadableRight refuses what only an admin may mend.
func unreadableRight(before found[mesh.Service]) error {
	if before.unreadable() {
		return mesh.Denied("what is stored of the service cannot be read, so nobody can tell whose it is: an admin has to write or delete it")
	}
	return nil
}

func judgeService(by Token, before found[mesh.Service], after *mesh.Service) error {
	if by.Admin() {
		return nil
	}
	var name mesh.ServiceName
	for _, one := range []*mesh.Service{before.object, after} {
		if one != nil {
			name = one.Name
		}
	}
	switch {
	case by.Kind == KeeperToken: // whose it is decides the keeper, not the owner
		return unreadableRight(before)
	case by.Kind != "", by.Service != "" && name != "" && by.Service != name:
		return mesh.Denied("the access token is limited to %s, and may not write the declaration of service %s", by.limit(), quoted(string(name)))
	case before.unreadable() && len(by.Owners) > 0:
		return unreadableRight(before)
	case before.object != nil && len(by.Owners) > 0 && !by.Owns(before.object.Owner):
		if by.Service != "" {
			return mesh.Denied("the access token is of the time when service %s belonged to %s; it belongs to %q now: have another token made", quoted(string(name)), strings.Join(by.Owners, ", "), before.object.Owner)
		}
		return mesh.Denied("service %s belongs to %q, and the access token is limited to %s", quoted(string(name)), before.object.Owner, by.limit())
	case after == nil:
		return nil
	case len(by.Owners) > 0 && !by.Owns(after.Owner), by.Service != "" && before.object != nil && before.object.Owner != after.Owner:
		return mesh.Denied("the access token is limited to %s, and may not make service %s one of %q: an admin may, and a token of both owners", by.limit(), quoted(string(name)), after.Owner)
	}
	return nil
}

// runtimeRight: an admin's.
func runtimeRight(_ context.Context, by Token, _ found[mesh.Runtime], _ *mesh.Runtime) ([]guard, error) {
	if by.Admin() {
		return nil, nil
	}
	return nil, mesh.Denied("the access token is limited to %s; the runtime layer of all proxies needs one that is not limited", by.limit())
}

// InstancesRight says whether a token's holder may write the instances of all
// these services: whoever has a token for the service, or owns its declaration.
func (s *Store) InstancesRight(ctx context.Context, by Token, services ...mesh.ServiceName) error {
	_, err := s.instancesRight(ctx, by, services...)
	return err
}

func (s *Store) instancesRight(ctx context.Context, by Token, services ...mesh.ServiceName) ([]guard, error) {
	if by.Admin() {
		return nil, nil
	}
	if by.Kind == KeeperToken {
		return nil, mesh.Denied("the access token is limited to %s: a keeper gives the whole set of its instances (PUT /api/v1/services/{name}/instances), and registers none", by.limit())
	}
	if by.Service == "" {
		return s.ownedServices(ctx, by, services...)
	}
	for _, name := range services {
		if name != by.Service {
			return nil, mesh.Denied("the access token is limited to %s and may not write service %s", by.limit(), quoted(string(name)))
		}
	}
	return nil, nil
}

// ownedServices makes sure that all these services are declared, and the token's.
func (s *Store) ownedServices(ctx context.Context, by Token, services ...mesh.ServiceName) ([]guard, error) {
	var guards []guard
	seen := map[mesh.ServiceName]bool{}
	for _, name := range services {
		if seen[name] {
			continue
		}
		seen[name] = true
		service, err := s.Service(ctx, name)
		switch {
		case mesh.KindOf(err) == mesh.KindNotFound:
			return nil, mesh.Denied("nobody has declared service %s, so it belongs to nobody, and the access token is limited to %s: declare it first", quoted(string(name)), by.limit())
		case mesh.ReasonOf(err) == mesh.ReasonCorrupt:
			return nil, mesh.Denied("what is stored of service %s cannot be read, so nobody can tell whose it is", quoted(string(name)))
		case err != nil:
			return nil, err
		case !by.Owns(service.Owner):
			return nil, mesh.Denied("service %s belongs to %q, and the access token is limited to %s", quoted(string(name)), service.Owner, by.limit())
		}
		guards = append(guards, at(servicePrefix+string(name), service.Meta.Revision))
	}
	return guards, nil
}

// tokenRight: an admin's; and an owner's, for tokens of a service that it owns.
// What an owner's token makes lives on when that one is revoked, so it makes none
// of its own kind.
func (s *Store) tokenRight(ctx context.Context, by, token Token) ([]guard, error) {
	switch {
	case by.Admin():
		return nil, nil
	case by.Kind == KeeperToken:
		return s.keeperTokenRight(ctx, by, token)
	case by.Service != "":
		return nil, mesh.Denied("the access token is limited to %s; tokens need one of an owner, or one that is not limited", by.limit())
	case token.Service == "":
		return nil, mesh.Denied("the access token is limited to %s: it makes and ends tokens of services, and only an admin those of owners and admins", by.limit())
	}
	return s.ownedServices(ctx, by, token.Service)
}

// MayRead says whether a token's holder sees what belongs to a service or to one
// of these owners, where not everybody does.
func (t Token) MayRead(service mesh.ServiceName, owners []string) bool {
	switch {
	case t.Admin():
		return true
	case t.Service != "":
		return t.Service == service
	}
	return slices.ContainsFunc(owners, t.Owns)
}

// MayDeclare says whether a token's holder may change what a service declares, its
// owner aside. It is judged again when it is written.
func MayDeclare(by Token, stored *mesh.Service) error {
	return judgeService(by, found[mesh.Service]{object: stored, revision: stored.Meta.Revision}, stored)
}
