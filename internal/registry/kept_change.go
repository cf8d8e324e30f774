package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ChangeKept changes a part of the set that the keeper w.Keeper has of a service, as
// [Store.KeepInstances] changes the whole: it costs what changes, not what there is.
// change.Base is the [mesh.Kept.Base] of the answer before it. Where the set has been
// written since, the answer is a conflict with [mesh.ReasonStale], and it takes the
// whole set to go on.
func (s *Store) ChangeKept(ctx context.Context, service mesh.ServiceName, change mesh.KeptChange, w Write) (mesh.Kept, error) {
	if err := mayChangeKept(w); err != nil {
		return mesh.Kept{}, err
	}
	wanted, err := checkKept(service, change.Instances)
	if err != nil {
		return mesh.Kept{}, err
	}
	var faults mesh.Faults
	removed := make(map[mesh.InstanceID]bool, len(change.Removed))
	for i, id := range change.Removed {
		if _, both := wanted[id]; both {
			faults.Add("removed["+strconv.Itoa(i)+"]", "is in instances as well")
		}
		removed[id] = true
	}
	if len(removed) > mesh.MostKeptInstances {
		faults.Add("removed", "has %d entries; at most %d are allowed", len(removed), mesh.MostKeptInstances)
	}
	if change.Base <= 0 {
		faults.Add("base", "is required: the base of the answer to the set, or to the change, before this one")
	}
	if err := mesh.Invalid("the change of a set of instances is not valid", faults); err != nil {
		return mesh.Kept{}, err
	}
	k := s.keeping(ctx, service, wanted, w)
	k.change = &keptChange{base: change.Base, removed: removed}
	if err := k.run(ctx); err != nil {
		return k.kept, err
	}
	return k.kept, k.refusal()
}

// keptChange is what makes a keeping one of a part: all that it does not name stays.
type keptChange struct {
	base    int64 // the revision of the fence that the set has to be at
	size    int   // how many the set has there
	removed map[mesh.InstanceID]bool
}

// follows says why a change is not one of the set that is there.
func (c *keptChange) follows(fence *mvccpb.KeyValue) error {
	if c == nil {
		return nil
	}
	if fence != nil && fence.ModRevision == c.base {
		size, err := strconv.Atoi(string(fence.Value))
		if err == nil { // else an older server wrote it
			c.size = size
			return nil
		}
	}
	return mesh.ConflictBecause(mesh.ReasonStale, "the set of instances has been written since revision %d: give the whole set", c.base)
}

// reached notes that a part has been written: what is left is a change of that.
func (c *keptChange) reached(revision int64) {
	if c != nil {
		c.base = revision
	}
}

// size is how many the set has after the steps.
func (k *keeping) size(steps []step) (int, error) {
	if k.change == nil {
		return len(k.wanted) - len(k.taken), nil
	}
	size := k.change.size
	for _, one := range steps {
		size += one.more
	}
	if size > mesh.MostKeptInstances {
		return 0, mesh.Invalid("the change of a set of instances is not valid", mesh.Faults{{Path: "instances", Message: fmt.Sprintf("make the set one of %d; at most %d are allowed", size, mesh.MostKeptInstances)}})
	}
	return max(size, 0), nil
}

// look reads what the call is about: all instances of the service, or those that a
// change names.
func (k *keeping) look(ctx context.Context, prefix string, each func(*mvccpb.KeyValue)) error {
	if k.change == nil {
		_, err := k.store.pages(ctx, prefix, 0, each)
		return err
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(k.wanted)), maps.Keys(k.change.removed))
	slices.Sort(names)
	for some := range slices.Chunk(names, MaxBatch) {
		reads := make([]clientv3.Op, len(some))
		for i, id := range some {
			reads[i] = clientv3.OpGet(prefix + string(id))
		}
		if err := k.reads(ctx, reads, each); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeping) reads(ctx context.Context, reads []clientv3.Op, each func(*mvccpb.KeyValue)) error {
	ctx, cancel := context.WithTimeout(ctx, k.store.timeout)
	defer cancel()
	answer, err := k.store.client.Txn(ctx).Then(reads...).Commit()
	if err != nil {
		return err
	}
	for _, one := range answer.Responses {
		for _, kv := range one.GetResponseRange().GetKvs() {
			each(kv)
		}
	}
	return nil
}
