package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// DiscoveryOffice is that of the server that refreshes the sources of virtual machines.
const DiscoveryOffice = "discovery"

// WriteRoster says what a server refreshes in its term, before it does. It is gone
// with the term.
func (s *Store) WriteRoster(ctx context.Context, term Term, roster mesh.DiscoveryRoster) error {
	const tried = "note which sources of machines this server refreshes"
	value, err := json.Marshal(roster)
	if err != nil {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	t := s.newTxn(tried, Write{})
	t.inTerm(term)
	t.do(clientv3.OpPut(rosterKey, string(value), clientv3.WithLease(term.lease)))
	_, _, err = t.commit(ctx, "", nil)
	return err
}

// ForgetSource deletes what is known of a source of virtual machines that no server
// refreshes any more: its machines, those instances of services that they were, and how
// it did. It is refused while a server refreshes it. One that was cut off is completed
// by the next, for how it did is deleted last.
func (s *Store) ForgetSource(ctx context.Context, source string, w Write) error {
	tried := "forget source " + quoted(source)
	if !w.By.Admin() {
		return mesh.Denied("%s: the access token is limited to %s", tried, w.By.limit())
	}
	f := &forgetting{store: s, source: source, tried: tried, write: s.followed(ctx, w)}
	for tries := 1; ; tries++ {
		if err := f.run(ctx); tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

// forgetting is a ForgetSource under way.
type forgetting struct {
	store         *Store
	source, tried string
	write         Write
}

func (f *forgetting) run(ctx context.Context) error {
	machines, err := f.machines(ctx)
	if err != nil {
		return err
	}
	kept, err := f.instances(ctx)
	if err != nil {
		return err
	}
	return f.status(ctx, machines || kept)
}

// unrefreshed gives what a write guards so that no server refreshes the source
// meanwhile: who holds the office, who seeks it, and what the holder says of itself.
func (f *forgetting) unrefreshed(ctx context.Context) ([]guard, error) {
	ctx, cancel := context.WithTimeout(ctx, f.store.timeout)
	defer cancel()
	const holders = officePrefix + DiscoveryOffice + "/"
	answer, err := f.store.client.Txn(ctx).Then(clientv3.OpGet(rosterKey), clientv3.OpGet(holders, clientv3.WithPrefix(), clientv3.WithKeysOnly())).Commit()
	if err != nil {
		return nil, refusal(err, f.tried)
	}
	written, seekers := answer.Responses[0].GetResponseRange().GetKvs(), answer.Responses[1].GetResponseRange().GetKvs()
	guards := []guard{noneNewer(holders, answer.Header.Revision)}
	if len(written) == 0 {
		if len(seekers) > 0 {
			return nil, mesh.Conflict("%s: a server is about to take over discovery, and has not said yet which sources it has; try again in a few seconds", f.tried)
		}
		return append(guards, at(rosterKey, 0)), nil
	}
	roster, err := rosters.decode(rosterKey, written[0].Value, written[0].ModRevision)
	switch {
	case err != nil:
		return nil, mesh.Conflict("%s: which sources are refreshed cannot be read (%s); restart the servers that have --discovery", f.tried, err)
	case slices.Contains(roster.Sources, f.source):
		return nil, mesh.Conflict("%s: server %s refreshes it, and would find its machines again: take it out of the settings (heddle server --discovery) of all servers first, and restart them. A server that was killed is taken to refresh it for %s more", f.tried, roster.Server, officeTTL)
	}
	return append(guards, at(rosterKey, written[0].ModRevision)), nil
}

// machines deletes the machines, and says whether there were any.
func (f *forgetting) machines(ctx context.Context) (bool, error) {
	var ops []clientv3.Op
	if _, err := f.store.pages(ctx, vmPrefix+f.source+"/", 0, func(kv *mvccpb.KeyValue) {
		ops = append(ops, clientv3.OpDelete(string(kv.Key)))
	}); err != nil {
		return false, refusal(err, f.tried)
	}
	guards, err := f.unrefreshed(ctx)
	if err != nil {
		return false, err
	}
	for some := range slices.Chunk(ops, MaxBatch) {
		t := f.store.newTxn(f.tried, Write{})
		t.guard(guards...)
		if err := t.writeVMs(slices.Clone(some), Write{Author: f.write.Author, Source: f.write.Source}); err != nil {
			return false, err
		}
		if _, _, err := t.commit(ctx, "", nil); err != nil {
			return false, err
		}
	}
	return len(ops) > 0, nil
}

// instances ends the sets of instances that services had of the source.
func (f *forgetting) instances(ctx context.Context) (bool, error) {
	keeper := mesh.OfVMs(f.source)
	var services []mesh.ServiceName
	all, _, err := f.store.Instances(ctx, "")
	if err != nil {
		return false, err
	}
	for i := range all {
		if one := &all[i]; one.Meta.Keeper == keeper && !slices.Contains(services, one.Service) {
			services = append(services, one.Service)
		}
	}
	for _, service := range services {
		if _, err := f.store.KeepInstances(ctx, service, nil, Write{Author: f.write.Author, Source: keeper.Source(), Keeper: keeper, From: f.write.From, By: f.write.By}); err != nil {
			return false, err
		}
	}
	return len(services) > 0, nil
}

// status deletes how the source did; there says that it had something.
func (f *forgetting) status(ctx context.Context, there bool) error {
	key := discoveryPrefix + f.source
	guards, err := f.unrefreshed(ctx)
	if err != nil {
		return err
	}
	t := f.store.newTxn(f.tried, Write{})
	t.guard(guards...)
	if !there {
		t.require(clientv3.Compare(clientv3.ModRevision(key), ">", 0), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
			if len(found) > 0 {
				return nil
			}
			return mesh.NotFound("%s: nothing is known of it", f.tried)
		})
	}
	t.do(clientv3.OpDelete(key), clientv3.OpDelete(wakePrefix+f.source))
	entry := f.write.entry("delete", "source/"+f.source)
	t.audit = &entry
	_, _, err = t.commit(ctx, "", nil)
	return err
}
