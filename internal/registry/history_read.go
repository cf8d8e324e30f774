package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Past is one state that an object had.
type Past[T any] struct {
	Revision int64     `json:"revision" doc:"The object's revision, which names this state."`
	Time     time.Time `json:"time,omitzero" doc:"When it was written."`
	Action   string    `json:"action,omitempty" doc:"What was done, as in the audit: create, replace, approve, rollback, delete, … Left out: not known, for an older Heddle wrote it." example:"replace"`
	Author   string    `json:"author,omitempty" doc:"By which token or certificate." example:"token:4f2a9c81d0e3"`
	Source   string    `json:"source,omitempty" doc:"By which way." example:"rest"`
	Changed  []string  `json:"changed,omitempty" doc:"The fields that differ from the state before." example:"port"`
	To       int64     `json:"to,omitempty" doc:"Of a rollback: the revision whose content it brought back."`
	Present  bool      `json:"present,omitempty" doc:"It is what is in force now."`
	Deleted  bool      `json:"deleted,omitempty" doc:"It was deleted with this."`
	Missing  string    `json:"missing,omitempty" doc:"Why its content is not there, and cannot be rolled back to."`
	Object   *T        `json:"object,omitempty" doc:"The object as it was written; given when one revision is asked for."`

	owner string // of the object
}

// Objects says of which revisions a history is to have the objects.
type Objects func(revision int64) bool

// Only has a history read with the objects of these revisions alone: a list of what
// was done unpacks and decodes none.
func Only(revisions ...int64) Objects {
	return func(revision int64) bool { return slices.Contains(revisions, revision) }
}

// ServiceHistory gives what is kept of a service, newest first; with all objects, or with
// those that are named.
func (s *Store) ServiceHistory(ctx context.Context, name mesh.ServiceName, objects ...Objects) ([]Past[mesh.Service], error) {
	return history(ctx, s, &services, string(name), objects)
}

// RouteHistory gives what is kept of a route, newest first; with all objects, or with
// those that are named.
func (s *Store) RouteHistory(ctx context.Context, name mesh.RouteName, objects ...Objects) ([]Past[mesh.Route], error) {
	return history(ctx, s, &routes, string(name), objects)
}

// RuntimeHistory gives what is kept of the runtime layer, newest first.
func (s *Store) RuntimeHistory(ctx context.Context, objects ...Objects) ([]Past[mesh.Runtime], error) {
	return history(ctx, s, &runtimes, "", objects)
}

// history reads what is kept of an object, which may be gone. What is there and was
// not kept is told with it.
func history[T any](ctx context.Context, s *Store, k *kind[T], name string, objects []Objects) ([]Past[T], error) {
	wanted := func(revision int64) bool {
		return len(objects) == 0 || slices.ContainsFunc(objects, func(some Objects) bool { return some(revision) })
	}
	title := strings.TrimSpace(k.noun + " " + quoted(name))
	if len(name) > maxKeyName {
		return nil, mesh.NotFound("%s does not exist", title)
	}
	key := k.prefix + name
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.client.Txn(ctx).Then(clientv3.OpGet(key), clientv3.OpGet(historyOf(key), clientv3.WithPrefix())).Commit()
	if err != nil {
		return nil, refusal(err, "read the history of "+title)
	}
	var out []Past[T]
	for _, kv := range got.Responses[1].GetResponseRange().GetKvs() {
		out = append(out, readPast(k, key, kv, wanted))
	}
	if now := got.Responses[0].GetResponseRange().GetKvs(); len(now) > 0 {
		at := slices.IndexFunc(out, func(one Past[T]) bool { return one.Revision == now[0].ModRevision })
		if at < 0 {
			at = len(out)
			out = append(out, presentPast(k, key, now[0]))
		}
		out[at].Present = true
	} else if len(out) == 0 && name != "" {
		return nil, mesh.NotFound("%s does not exist, and nothing is kept of it", title)
	}
	slices.SortFunc(out, func(a, b Past[T]) int { return cmp.Compare(b.Revision, a.Revision) })
	return out, nil
}

// readPast reads what was kept. A value that cannot be read is told, with its place.
func readPast[T any](k *kind[T], key string, kv *mvccpb.KeyValue, wanted Objects) Past[T] {
	var kept past
	if err := json.Unmarshal(kv.Value, &kept); err != nil {
		return Past[T]{Revision: kv.ModRevision, Missing: "what was kept cannot be read: etcd's key " + string(kv.Key)}
	}
	one := Past[T]{
		Revision: cmp.Or(kept.Revision, kv.ModRevision), Time: kept.Time, Action: kept.Action,
		Author: kept.Author, Source: kept.Source, Changed: kept.Changed, To: kept.To,
		owner: kept.Owner,
	}
	at, _ := parsePastKey(string(kv.Key))
	one.Deleted = at.kind == pastDeleted
	switch {
	case one.Deleted:
	case kept.Size > 0:
		one.Missing = fmt.Sprintf("it was too large to be kept: %d bytes", kept.Size)
	case wanted(one.Revision) || kept.Owner == "" && k.owner != nil: // an older Heddle noted no owner
		value, err := kept.held()
		if err == nil {
			one.Object, err = lenient(k, key, value, one.Revision)
		}
		if err != nil {
			one.Missing = "what was kept cannot be read: " + err.Error()
			break
		}
		one.owner = k.ownerOf(one.Object)
	}
	return one
}

// presentPast tells what is there, and was not kept.
func presentPast[T any](k *kind[T], key string, kv *mvccpb.KeyValue) Past[T] {
	one := Past[T]{Revision: kv.ModRevision}
	object, err := lenient(k, key, kv.Value, kv.ModRevision)
	if err != nil {
		one.Missing = "what is stored cannot be read: " + err.Error()
		return one
	}
	meta := k.meta(object)
	one.Time, one.Author, one.Source, one.Object, one.owner = meta.UpdatedAt, meta.Author, meta.Source, object, k.ownerOf(object)
	return one
}

// lenient decodes what was valid once, and may not be any more.
func lenient[T any](k *kind[T], key string, value []byte, revision int64) (*T, error) {
	object := new(T)
	if err := json.Unmarshal(value, object); err != nil {
		return nil, fmt.Errorf("not the JSON of a %s: %w", k.noun, err)
	}
	if k.key(object) != key {
		return nil, fmt.Errorf("the %s in it is %q, not the key's", k.noun, k.name(object))
	}
	k.meta(object).Revision = revision
	return object, nil
}

// StateAt finds the state that an object had at a revision.
func StateAt[T any](states []Past[T], title string, revision int64) (*Past[T], error) {
	for i := range states {
		if states[i].Revision == revision {
			return &states[i], nil
		}
	}
	kept := "nothing is kept of it"
	if len(states) > 0 {
		kept = fmt.Sprintf("%d are kept, from %d to %d", len(states), states[len(states)-1].Revision, states[0].Revision)
	}
	return nil, mesh.NotFound("%s has no revision %d in its history: %s; the newest %d of an object are kept, 1 MiB at most, for %d days, and an older server, which keeps none, may have written it",
		title, revision, kept, MostKept, int(HistoryKept.Hours()/24))
}

// RollbackTo finds the state that an object is to be rolled back to.
func RollbackTo[T any](states []Past[T], title string, revision int64) (*T, error) {
	one, err := StateAt(states, title, revision)
	if err != nil {
		return nil, err
	}
	fault := ""
	switch {
	case one.Present:
		fault = "is what is in force already"
	case one.Deleted:
		fault = "is its deletion: delete it to have that"
	case one.Object == nil:
		fault = "cannot be had again: " + one.Missing
	}
	if fault != "" {
		return nil, mesh.Invalid(title+" cannot be rolled back to revision "+strconv.FormatInt(revision, 10), mesh.Faults{{Path: "to", Message: fault}})
	}
	return one.Object, nil
}

// Visible are the states that a token's holder sees, as the audit shows who wrote
// them: an admin all, an owner those of when it was theirs or came to or from them,
// a service's token those of that service ("" for what is none).
func Visible[T any](states []Past[T], by Token, title string, service mesh.ServiceName) ([]Past[T], error) {
	var out []Past[T]
	for i, one := range states {
		var owners []string
		for _, state := range states[i:min(i+2, len(states))] { // and the one before it
			if state.owner != "" {
				owners = append(owners, state.owner)
			}
		}
		if by.MayRead(service, owners) {
			out = append(out, one)
		}
	}
	if len(out) == 0 && !by.Admin() {
		return nil, mesh.Denied("the history of %s is for its owner and for admins, as the audit is", title)
	}
	return out, nil
}
