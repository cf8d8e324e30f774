package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxKeyNames bounds a name that a caller looks up, in bytes; longer ones
// cannot exist.
const maxKeyName = 512

// PutService creates or changes a service, and gives it as it is stored.
func (s *Store) PutService(ctx context.Context, service mesh.Service, w Write) (mesh.Service, error) {
	if err := notOwnHost(service, w); err != nil {
		return mesh.Service{}, err
	}
	return put(ctx, s, &services, service, w, serviceRight)
}

// Service reads one service.
func (s *Store) Service(ctx context.Context, name mesh.ServiceName) (mesh.Service, error) {
	return get(ctx, s, &services, string(name))
}

// Services reads all services, by name, and the revision at which they were read.
func (s *Store) Services(ctx context.Context) ([]mesh.Service, int64, error) {
	return list(ctx, s, &services, services.prefix)
}

// PutRoute creates or changes a route, and gives it as it is stored.
func (s *Store) PutRoute(ctx context.Context, route mesh.Route, w Write) (mesh.Route, error) {
	return put(ctx, s, &routes, route, w, s.routeRight(w.Keeper))
}

// DeleteRoute deletes a route.
func (s *Store) DeleteRoute(ctx context.Context, name mesh.RouteName, w Write) error {
	return remove(ctx, s, &routes, string(name), w, s.routeRight(w.Keeper))
}

// Route reads one route.
func (s *Store) Route(ctx context.Context, name mesh.RouteName) (mesh.Route, error) {
	return get(ctx, s, &routes, string(name))
}

// Routes reads all routes, by name, and the revision at which they were read.
func (s *Store) Routes(ctx context.Context) ([]mesh.Route, int64, error) {
	return list(ctx, s, &routes, routes.prefix)
}

// PutRuntime replaces the runtime layer, and gives it as it is stored.
func (s *Store) PutRuntime(ctx context.Context, runtime mesh.Runtime, w Write) (mesh.Runtime, error) {
	return put(ctx, s, &runtimes, runtime, w, runtimeRight)
}

// Runtime reads the runtime layer; it is empty until it is first written.
func (s *Store) Runtime(ctx context.Context) (mesh.Runtime, error) {
	runtime, err := get(ctx, s, &runtimes, "")
	if mesh.KindOf(err) == mesh.KindNotFound {
		return mesh.Runtime{}, nil
	}
	return runtime, err
}

// put writes an object, with its line in the audit, in one transaction. It is
// judged by what is there, and judged anew when that changes meanwhile.
func put[T any](ctx context.Context, s *Store, k *kind[T], object T, w Write, allowed right[T]) (T, error) {
	var none T
	tried := "write " + k.title(&object)
	w = s.followed(ctx, w)
	if err := keepsObject(k, w); err != nil {
		return none, err
	}
	if err := mesh.Invalid(tried, k.validate(&object)); err != nil {
		return none, err
	}
	for tries := 1; ; tries++ {
		stored, err := putOver(ctx, s, k, object, w, allowed, tried)
		if tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			return stored, err
		}
	}
}

func putOver[T any](ctx context.Context, s *Store, k *kind[T], object T, w Write, allowed right[T], tried string) (T, error) {
	var none T
	key := k.key(&object)
	before, err := findBefore(ctx, s, k, key, tried)
	if err != nil {
		return none, err
	}
	guards, err := allowed(ctx, w.By, before, &object)
	if err != nil {
		return none, err
	}
	if err := judgeKeeper(k, before, w); err != nil {
		return none, err
	}
	value, err := k.encode(object, w, timeNow())
	if err != nil {
		return none, err
	}
	t := s.newTxn(tried, w)
	if w.Create {
		t.require(clientv3.Compare(clientv3.CreateRevision(key), "=", 0), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
			return refuseExisting(k.title(&object), found)
		})
	}
	if w.Revision != 0 {
		t.require(clientv3.Compare(clientv3.ModRevision(key), "=", w.Revision), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
			return refuseStale(k.title(&object), w.Revision, found)
		})
	}
	t.guard(append(guards, at(key, before.revision))...)
	t.do(clientv3.OpPut(key, string(value)))
	action := "replace"
	if before.revision == 0 {
		action = "create"
	}
	t.audit = auditOf(k, w, cmp.Or(w.Action, action), key, before, &object)
	if err := keep(t, k, key, before, value); err != nil {
		return none, err
	}
	if service, is := any(&object).(*mesh.Service); is && before.revision == 0 {
		if err := s.endFormer(ctx, t, service); err != nil {
			return none, err
		}
		if err := s.endKept(ctx, service.Name, w); err != nil { // of a service of that name, whose deletion was cut off
			return none, err
		}
	}
	stored, revision, err := t.commit(ctx, contentOf(k.noun, object, k.meta), value)
	if err != nil {
		return none, err
	}
	result, err := k.decode(key, stored, revision)
	if err != nil {
		return none, mesh.Unavailable(err, "%s: what is stored cannot be read back", tried)
	}
	return *result, nil
}

// findBefore reads what a write finds.
func findBefore[T any](ctx context.Context, s *Store, k *kind[T], key, tried string) (found[T], error) {
	ops := []clientv3.Op{clientv3.OpGet(key)}
	if k.kept {
		ops = append(ops, clientv3.OpGet(historyOf(key), clientv3.WithPrefix(), clientv3.WithKeysOnly()))
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return found[T]{}, refusal(err, tried)
	}
	before := found[T]{read: got.Header.Revision}
	if k.kept {
		before.past = got.Responses[1].GetResponseRange().GetKvs()
	}
	there := got.Responses[0].GetResponseRange().GetKvs()
	if len(there) == 0 {
		return before, nil
	}
	kv := there[0]
	before.revision, before.value = kv.ModRevision, kv.Value
	if object, err := k.decode(key, kv.Value, kv.ModRevision); err == nil {
		before.object = object
	}
	return before, nil
}

// auditOf is the entry of a write of an object; after is nil for a deletion.
func auditOf[T any](k *kind[T], w Write, action, key string, before found[T], after *T) *mesh.AuditEntry {
	entry := w.entry(action, k.audited(key))
	entry.Previous = before.revision
	entry.Changes = differences(before.object, after)
	for _, object := range []*T{before.object, after} {
		if object == nil || k.owner == nil {
			continue
		}
		if owner := k.owner(object); !slices.Contains(entry.Owners, owner) {
			entry.Owners = append(entry.Owners, owner)
		}
	}
	if k.prefix == servicePrefix {
		entry.Service = mesh.ServiceName(strings.TrimPrefix(key, servicePrefix))
	}
	if w.note != nil {
		w.note(&entry)
	}
	return &entry
}

// remove deletes an object, with a line in the audit, in one transaction.
func remove[T any](ctx context.Context, s *Store, k *kind[T], name string, w Write, allowed right[T]) error {
	title := k.noun + " " + quoted(name)
	if err := keepsObject(k, w); err != nil {
		return err
	}
	if len(name) > maxKeyName {
		return mesh.NotFound("%s does not exist", title)
	}
	for tries := 1; ; tries++ {
		err := removeFound(ctx, s, k, name, w, allowed, title)
		if tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

func removeFound[T any](ctx context.Context, s *Store, k *kind[T], name string, w Write, allowed right[T], title string) error {
	key := k.prefix + name
	t := s.newTxn("delete "+title, w)
	before, err := findBefore(ctx, s, k, key, t.tried)
	if err != nil {
		return err
	}
	guards, err := allowed(ctx, w.By, before, nil)
	if err != nil {
		return err
	}
	if err := judgeKeeper(k, before, w); err != nil {
		return err
	}
	t.require(clientv3.Compare(clientv3.CreateRevision(key), ">", 0), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
		if len(found) == 0 {
			return mesh.NotFound("%s does not exist", title)
		}
		return nil
	})
	if w.Revision != 0 {
		t.require(clientv3.Compare(clientv3.ModRevision(key), "=", w.Revision), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
			return refuseStale(title, w.Revision, found)
		})
	}
	t.guard(append(guards, at(key, before.revision))...)
	t.do(clientv3.OpDelete(key))
	t.audit = auditOf(k, w, cmp.Or(w.Action, "delete"), key, before, nil)
	if err := keep(t, k, key, before, nil); err != nil {
		return err
	}
	_, _, err = t.commit(ctx, "delete "+key, nil)
	return err
}

// get reads one object.
func get[T any](ctx context.Context, s *Store, k *kind[T], name string) (T, error) {
	var none T
	title := strings.TrimSpace(k.noun + " " + quoted(name))
	if len(name) > maxKeyName {
		return none, mesh.NotFound("%s does not exist", title)
	}
	kv, err := s.read(ctx, k.prefix+name, "read "+title)
	if err != nil {
		return none, err
	}
	if kv == nil {
		return none, mesh.NotFound("%s does not exist", title)
	}
	object, err := k.decode(string(kv.Key), kv.Value, kv.ModRevision)
	if err != nil {
		return none, &mesh.Error{
			Kind: mesh.KindUnavailable, Reason: mesh.ReasonCorrupt, Err: err,
			Message: fmt.Sprintf("%s: its value in etcd (key %s) is corrupt; write it anew", title, kv.Key),
		}
	}
	return *object, nil
}

// read gives the value of one key, or nil.
func (s *Store) read(ctx context.Context, key, tried string) (*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.client.Get(ctx, key)
	if err != nil {
		return nil, refusal(err, tried)
	}
	if len(got.Kvs) == 0 {
		return nil, nil //nolint:nilnil // no such key is no error here
	}
	return got.Kvs[0], nil
}

// list reads the objects below a prefix; corrupt ones are left out (a watcher
// reports them).
func list[T any](ctx context.Context, s *Store, k *kind[T], prefix string) ([]T, int64, error) {
	objects := []T{}
	revision, err := s.pages(ctx, prefix, 0, func(kv *mvccpb.KeyValue) {
		if object, err := k.decode(string(kv.Key), kv.Value, kv.ModRevision); err == nil {
			objects = append(objects, *object)
		}
	})
	if err != nil {
		return nil, 0, refusal(err, "list "+k.noun+"s")
	}
	return objects, revision, nil
}

// pageSize bounds what etcd has to put into one answer.
const pageSize = 1000

// pages reads all keys below a prefix at one revision (0: the present one) in
// order, a page at a time. It gives that revision.
func (s *Store) pages(ctx context.Context, prefix string, revision int64, each func(*mvccpb.KeyValue)) (int64, error) {
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		got, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
		cancel()
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = got.Header.Revision
		}
		for _, kv := range got.Kvs {
			each(kv)
		}
		if !got.More {
			return revision, nil
		}
		from = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
	}
}

func refuseExisting(title string, found []*mvccpb.KeyValue) error {
	if len(found) == 0 {
		return nil
	}
	return mesh.ConflictBecause(mesh.ReasonExists, "%s exists already, at revision %d", title, found[0].ModRevision)
}

func refuseStale(title string, wanted int64, found []*mvccpb.KeyValue) error {
	switch {
	case len(found) == 0:
		return mesh.ConflictBecause(mesh.ReasonStale, "%s was deleted since revision %d", title, wanted)
	case found[0].ModRevision != wanted:
		return mesh.ConflictBecause(mesh.ReasonStale, "%s has changed since revision %d: it is at revision %d; read it again and repeat the change", title, wanted, found[0].ModRevision)
	}
	return nil
}

// quoted writes a name so that any bytes may stand in a message.
func quoted(name string) string {
	if name == "" {
		return ""
	}
	if len(name) > 64 {
		name = name[:64] + "…"
	}
	return fmt.Sprintf("%+q", name)
}
