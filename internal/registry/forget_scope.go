package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ForgetScope deletes the machines of a part of a source that can be listed no more, such
// as a subscription that was deleted, and has the source refreshed. Their instances end as
// the server that places machines sees that. It is refused while a server lists the part, or
// leaves it alone because it is throttled: its machines would be found again, and have had
// no requests meanwhile. It is done all the same if it is forced. A refresh under way that
// lists the part compares with what was there before; the one that is asked for puts back
// what there is. One that was cut off is completed by the next.
func (s *Store) ForgetScope(ctx context.Context, source, scope string, force bool, w Write) error {
	tried := "forget scope " + quoted(scope) + " of source " + quoted(source)
	if !w.By.Admin() {
		return mesh.Denied("%s: the access token is limited to %s", tried, w.By.limit())
	}
	f := &forgettingScope{store: s, source: source, scope: scope, force: force, tried: tried, write: s.followed(ctx, w)}
	for tries := 1; ; tries++ {
		if err := f.run(ctx); tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

// forgettingScope is a ForgetScope under way.
type forgettingScope struct {
	store                *Store
	source, scope, tried string
	force                bool
	write                Write
}

func (f *forgettingScope) run(ctx context.Context) error {
	known, guards, err := f.unlisted(ctx)
	if err != nil {
		return err
	}
	var ops []clientv3.Op
	others := map[string]bool{}
	if _, err := f.store.pages(ctx, vmPrefix+f.source+"/", 0, func(kv *mvccpb.KeyValue) {
		var vm struct{ Scope string }
		switch err := json.Unmarshal(kv.Value, &vm); {
		case err != nil:
		case vm.Scope == f.scope:
			ops = append(ops, clientv3.OpDelete(string(kv.Key)))
		default:
			others[vm.Scope] = true
		}
	}); err != nil {
		return refusal(err, f.tried)
	}
	if len(ops) == 0 {
		for _, one := range known {
			others[one.Name] = true
		}
		return f.nothing(others)
	}
	chunks := slices.Collect(slices.Chunk(ops, MaxBatch))
	for i, some := range chunks {
		t := f.store.newTxn(f.tried, Write{})
		t.guard(guards...)
		if err := t.writeVMs(slices.Clone(some), Write{Author: f.write.Author, Source: f.write.Source}); err != nil {
			return err
		}
		if i == len(chunks)-1 {
			t.do(wake(f.source))
			entry := f.write.entry("delete", "source/"+f.source+"/"+f.scope)
			t.audit = &entry
		}
		if _, _, err := t.commit(ctx, "", nil); err != nil {
			return err
		}
	}
	return nil
}

// nothing says that the scope has no machines, and which have.
func (f *forgettingScope) nothing(others map[string]bool) error {
	const shown = 10
	var names []string
	for name := range others {
		if name != f.scope && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return mesh.NotFound("%s: no machine of it is known", f.tried)
	}
	more := ""
	if len(names) > shown {
		names, more = names[:shown], " and more"
	}
	return mesh.NotFound("%s: no machine of it is known; the source's other scopes: %s%s", f.tried, strings.Join(names, ", "), more)
}

// unlisted makes sure that the scope is not listed, by what the server says that refreshes
// the source, and gives what a write guards so that it still says so.
func (f *forgettingScope) unlisted(ctx context.Context) ([]mesh.DiscoveryScope, []guard, error) {
	ctx, cancel := context.WithTimeout(ctx, f.store.timeout)
	defer cancel()
	key := discoveryPrefix + f.source
	answer, err := f.store.client.Txn(ctx).Then(clientv3.OpGet(rosterKey), clientv3.OpGet(key)).Commit()
	if err != nil {
		return nil, nil, refusal(err, f.tried)
	}
	written, noted := answer.Responses[0].GetResponseRange().GetKvs(), answer.Responses[1].GetResponseRange().GetKvs()
	roster, guards := &mesh.DiscoveryRoster{}, []guard{at(rosterKey, 0)} // nobody refreshes, and nobody begins to
	if len(written) > 0 {
		guards = []guard{at(rosterKey, written[0].ModRevision)}
		if roster, err = rosters.decode(rosterKey, written[0].Value, written[0].ModRevision); err != nil {
			return nil, nil, mesh.Conflict("%s: which sources are refreshed cannot be read (%s); restart the servers that have --discovery", f.tried, err)
		}
	}
	status := mesh.DiscoverySource{}
	if len(noted) > 0 && json.Unmarshal(noted[0].Value, &status) == nil {
		guards = append(guards, at(key, noted[0].ModRevision))
	} else {
		guards = append(guards, noneNewer(key, answer.Header.Revision))
	}
	if f.force {
		return status.Scopes, guards[:0], nil
	}
	if slices.Contains(roster.Sources, f.source) {
		return status.Scopes, guards, f.listed(&status, roster.Server)
	}
	return status.Scopes, guards, f.throttled(&status)
}

// byForce is what those are told who may go on all the same.
const byForce = ". With force (heddle discovery forget --force) all its machines end now, and those that there are come back when it is listed next"

// listed says why a scope of a source that a server refreshes may not be forgotten.
func (f *forgettingScope) listed(status *mesh.DiscoverySource, server string) error {
	if status.LastRun.IsZero() {
		return mesh.Conflict("%s: server %s refreshes the source, and has not said yet how it does; try again when it has", f.tried, server)
	}
	for _, one := range status.Scopes {
		switch {
		case one.Name != f.scope:
		case one.Partly():
			return mesh.Conflict("%s: it is listed but for %d of its %d machines, which may not be gone (%s)"+byForce, f.tried, one.Held, one.VMs, one.Error)
		case one.Error == "" && !f.stale(status): // stale if the source cannot even say which scopes it has
			return mesh.Conflict("%s: server %s lists it, and would find its machines again: take it out of the settings (heddle server --discovery) of all servers, and restart them. A server that was killed is taken to list it for %s more"+byForce, f.tried, server, officeTTL)
		}
	}
	return f.throttled(status)
}

// throttled says that a scope is only left alone for a while.
func (f *forgettingScope) throttled(status *mesh.DiscoverySource) error {
	for _, one := range status.Scopes {
		if one.Name == f.scope && one.NotBefore.After(timeNow()) && !f.stale(status) {
			return mesh.Conflict("%s: it wants to be left alone until %s, and its machines may well be there (%s): wait until it is listed, or stale"+byForce, f.tried, one.NotBefore.UTC().Format(time.RFC3339), one.Error)
		}
	}
	return nil
}

// stale says whether nobody has confirmed the scope's machines for long.
func (f *forgettingScope) stale(status *mesh.DiscoverySource) bool {
	return slices.ContainsFunc(status.Stale(timeNow()), func(one mesh.DiscoveryScope) bool { return one.Name == f.scope })
}
