package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ForgetScope deletes the machines of a part of a source that can be listed no more, such
// as a subscription that was deleted, and has the source refreshed. Their instances end as
// the server that refreshes the sources sees that. It is refused while the part is listed:
// its machines would be found again. One that was cut off is completed by the next.
func (s *Store) ForgetScope(ctx context.Context, source, scope string, w Write) error {
	tried := "forget scope " + quoted(scope) + " of source " + quoted(source)
	if !w.By.Admin() {
		return mesh.Denied("%s: the access token is limited to %s", tried, w.By.limit())
	}
	f := &forgettingScope{store: s, source: source, scope: scope, tried: tried, write: s.followed(ctx, w)}
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
		if name != f.scope {
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
	if len(written) == 0 {
		return nil, nil, mesh.Conflict("%s: no server refreshes sources of machines now, so nothing would end their instances: start one (heddle server --discovery), or forget the whole source", f.tried)
	}
	guards := []guard{at(rosterKey, written[0].ModRevision)}
	roster, err := rosters.decode(rosterKey, written[0].Value, written[0].ModRevision)
	if err != nil {
		return nil, nil, mesh.Conflict("%s: which sources are refreshed cannot be read (%s); restart the servers that have --discovery", f.tried, err)
	}
	status := mesh.DiscoverySource{}
	if len(noted) > 0 && json.Unmarshal(noted[0].Value, &status) == nil {
		guards = append(guards, at(key, noted[0].ModRevision))
	} else {
		guards = append(guards, noneNewer(key, answer.Header.Revision))
	}
	if !slices.Contains(roster.Sources, f.source) {
		return status.Scopes, guards, nil
	}
	if status.LastRun.IsZero() {
		return nil, nil, mesh.Conflict("%s: server %s refreshes the source, and has not said yet how it does; try again when it has", f.tried, roster.Server)
	}
	for _, one := range status.Scopes {
		switch {
		case one.Name != f.scope:
		case one.Error == "":
			return nil, nil, mesh.Conflict("%s: server %s lists it, and would find its machines again: take it out of the settings (heddle server --discovery) of all servers, and restart them. A server that was killed is taken to list it for %s more", f.tried, roster.Server, officeTTL)
		case one.Held > 0 && one.Held < one.VMs:
			return nil, nil, mesh.Conflict("%s: it is listed but for %d of its %d machines, which may not be gone (%s)", f.tried, one.Held, one.VMs, one.Error)
		}
	}
	return status.Scopes, guards, nil
}
