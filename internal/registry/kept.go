package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// KeepInstances makes list the full set of instances that the keeper w.Keeper has of
// a service. Only what differs is written, in transactions of at most [MaxBatch], so a
// set that was cut off is completed by the next call. What is kept has no lease: it
// lives until its keeper's set no longer has it, or the service is deleted. Instances
// of other keepers and registered ones stand beside it; where one of those has the ID
// of one in list, the others are written and the answer is a conflict with
// [mesh.ReasonTaken]. Of several calls for one set, the last to finish prevails as a
// whole.
func (s *Store) KeepInstances(ctx context.Context, service mesh.ServiceName, list []mesh.Instance, w Write) (mesh.Kept, error) {
	if err := mayChangeKept(w); err != nil {
		return mesh.Kept{}, err
	}
	wanted, err := checkKept(service, list)
	if err != nil {
		return mesh.Kept{}, err
	}
	k := s.keeping(ctx, service, wanted, w)
	if err := k.run(ctx); err != nil {
		return k.kept, err
	}
	return k.kept, k.refusal()
}

// mayChangeKept says why a write is none of a keeper's set.
func mayChangeKept(w Write) error {
	if err := mayKeep(w, mesh.Keeper.OfInstances, keepersOfInstances); err != nil {
		return err
	}
	if w.Keeper == "" {
		return mesh.Invalid("keep instances", mesh.Faults{{Path: "header.X-Heddle-Keeper", Message: "is required: whose set of instances this is"}})
	}
	return nil
}

func (s *Store) keeping(ctx context.Context, service mesh.ServiceName, wanted map[mesh.InstanceID]mesh.Instance, w Write) *keeping {
	return &keeping{store: s, service: service, wanted: wanted, write: s.followed(ctx, w), tried: "keep the instances of service " + quoted(string(service))}
}

// run looks and writes until nothing differs.
func (k *keeping) run(ctx context.Context) error {
	defer k.close(ctx)
	for tries := 1; ; tries++ {
		err := k.once(ctx)
		if err == nil {
			break
		}
		if tries >= overtakenAtMost || !errors.Is(err, errOvertaken) {
			return err
		}
		select { // the other one may have many transactions to go
		case <-ctx.Done():
			return refusal(ctx.Err(), k.tried)
		case <-time.After(time.Duration(rand.IntN(tries*5)+1) * time.Millisecond): //nolint:gosec // jitter
		}
	}
	if k.kept.Written+k.kept.Removed > 0 {
		object := fmt.Sprintf("instances/%s of %s: %d written, %d removed", k.service, k.write.Keeper, k.kept.Written, k.kept.Removed)
		k.store.LogAudit(ctx, k.write, "keep", object, k.service)
	}
	return nil
}

// checkKept gives the set by ID.
func checkKept(service mesh.ServiceName, list []mesh.Instance) (map[mesh.InstanceID]mesh.Instance, error) {
	var faults mesh.Faults
	if len(list) > mesh.MostKeptInstances {
		faults.Add("instances", "has %d entries; at most %d are allowed", len(list), mesh.MostKeptInstances)
		list = nil
	}
	wanted := make(map[mesh.InstanceID]mesh.Instance, len(list))
	for i, one := range list {
		path := "instances[" + strconv.Itoa(i) + "]"
		if one.Service == "" {
			one.Service = service
		}
		if one.Service != service {
			faults.Add(path+".service", "is %s, but these are the instances of %s", quoted(string(one.Service)), quoted(string(service)))
		}
		for _, fault := range slices.Concat(one.Validate(), one.OwnHostFaults()) {
			faults = append(faults, mesh.Fault{Path: path + "." + fault.Path, Message: fault.Message})
		}
		if _, twice := wanted[one.ID]; twice {
			faults.Add(path+".id", "is given twice")
		}
		one.Epoch, one.Stale, one.Meta = "", false, mesh.Meta{}
		wanted[one.ID] = one
	}
	return wanted, mesh.Invalid("the set of instances is not valid", faults)
}

// keeping is a call of KeepInstances or ChangeKept under way.
type keeping struct {
	store   *Store
	service mesh.ServiceName
	wanted  map[mesh.InstanceID]mesh.Instance
	write   Write
	tried   string
	kept    mesh.Kept
	taken   mesh.Faults      // those whose IDs others have, as of the latest look
	marks   clientv3.LeaseID // of the marks of removal; 0 until there is one
	over    bool             // the service is deleted: its set ends, unless it is declared anew
	change  *keptChange      // nil: wanted is the whole set
}

// step is one instance to write or to mark as removed.
type step struct {
	guard  guard
	op     clientv3.Op
	remove bool
	more   int // by how many the set grows
}

// once looks at what there is and writes what differs.
func (k *keeping) once(ctx context.Context) error {
	guards, err := k.right(ctx)
	if err != nil {
		return err
	}
	fence, err := k.store.read(ctx, k.fence(), k.tried)
	if err != nil {
		return err
	}
	fenced := int64(0)
	if fence != nil {
		fenced = fence.ModRevision
	}
	if err := k.change.follows(fence); err != nil {
		return err
	}
	steps, err := k.compare(ctx)
	if err != nil {
		return err
	}
	size, err := k.size(steps)
	if err != nil {
		return err
	}
	k.kept.Base = fenced
	left := len(steps)
	for some := range slices.Chunk(steps, MaxBatch) {
		left -= len(some)
		t := k.store.newTxn(k.tried, Write{Keeper: k.write.Keeper, KeeperSource: k.write.KeeperSource})
		t.inTerm(k.write.Term)
		t.guard(append(guards, at(k.fence(), fenced))...)
		written := 0
		for _, one := range some {
			t.guard(one.guard)
			t.do(one.op)
			if !one.remove {
				written++
			}
		}
		// Whoever else writes this set meanwhile finds the key changed, and looks anew.
		ends := left == 0 && size == 0
		if ends {
			t.do(clientv3.OpDelete(k.fence()))
		} else {
			t.do(clientv3.OpPut(k.fence(), strconv.Itoa(size)))
		}
		_, revision, err := t.commit(ctx, "", nil)
		if err != nil {
			return err
		}
		fenced = revision
		k.change.reached(revision)
		k.kept.Revision, k.kept.Base = revision, revision
		if ends {
			k.kept.Base = 0
		}
		k.kept.Written += written
		k.kept.Removed += len(some) - written
	}
	return nil
}

// compare gives the steps from what there is to what is wanted, new ones first, so
// that a service is not without instances in between.
func (k *keeping) compare(ctx context.Context) ([]step, error) {
	k.kept.Unchanged, k.taken = 0, nil
	latest := int64(0) // write to what is this keeper's
	there := make(map[mesh.InstanceID]*mvccpb.KeyValue, len(k.wanted))
	var writes, removals []step
	prefix := instancePrefix + string(k.service) + "/"
	same := map[mesh.InstanceID]bool{}
	var failed error
	err := k.look(ctx, prefix, func(kv *mvccpb.KeyValue) {
		id := mesh.InstanceID(kv.Key[len(prefix):])
		stored, err := instances.decode(string(kv.Key), kv.Value, kv.ModRevision)
		wanted, is := k.wanted[id]
		switch {
		case err != nil: // nobody can tell whose it is: it is written over if it is wanted
			there[id] = kv
		case ofOthers(stored, k.write.Keeper):
			if is && stored.Health != mesh.Removed {
				k.taken = append(k.taken, takenBy(stored))
			}
			if is {
				same[id] = stored.Health != mesh.Removed
				there[id] = kv
			}
		case !is && stored.Meta.Keeper == "": // nor this keeper's to remove
		case !is:
			step, err := k.removal(ctx, stored, kv)
			if err != nil {
				failed = err
				return
			}
			removals = append(removals, step)
		default:
			there[id] = kv
			latest = max(latest, kv.ModRevision)
			if same[id] = contentOf("", *stored, instances.meta) == contentOf("", wanted, instances.meta); same[id] {
				k.kept.Unchanged++
			}
		}
	})
	if err = errors.Join(refusal(err, k.tried), failed); err != nil {
		return nil, err
	}
	k.kept.Revision = max(k.kept.Revision, latest)
	for id, wanted := range k.wanted {
		if same[id] {
			continue
		}
		value, err := instances.encode(wanted, k.write, timeNow())
		if err != nil {
			return nil, err
		}
		key, before := instanceKey(wanted.Key()), int64(0)
		more := 1
		if there[id] != nil {
			before, more = there[id].ModRevision, 0
		}
		writes = append(writes, step{guard: at(key, before), op: clientv3.OpPut(key, string(value)), more: more})
	}
	return append(writes, removals...), nil
}

// removal marks an instance as removed, on a lease whose end deletes it: watchers
// see that it did not expire, and after a crash the mark goes by itself.
func (k *keeping) removal(ctx context.Context, stored *mesh.Instance, kv *mvccpb.KeyValue) (step, error) {
	if k.marks == 0 {
		ctx, cancel := context.WithTimeout(ctx, k.store.timeout)
		defer cancel()
		lease, err := k.store.client.Grant(ctx, seconds(confirmedGoneTime))
		if err != nil {
			return step{}, refusal(err, k.tried)
		}
		k.marks = lease.ID
	}
	mark := *stored
	mark.Health = mesh.Removed
	value, err := instances.encode(mark, k.write, timeNow())
	return step{guard: at(string(kv.Key), kv.ModRevision), op: clientv3.OpPut(string(kv.Key), string(value), clientv3.WithLease(k.marks)), remove: true, more: -1}, err
}

// fence is the key by which calls for one set notice each other; its value is how many
// the set has, as far as the last of them wrote all it had to.
func (k *keeping) fence() string {
	return keptPrefix + string(k.service) + "/" + string(k.write.Keeper)
}

// close deletes what was marked.
func (k *keeping) close(ctx context.Context) {
	if k.marks != 0 {
		k.store.revoke(ctx, []clientv3.LeaseID{k.marks})
	}
}

// ofOthers says whether an instance is another keeper's, or was registered. What is
// neither is what a server that knows no keepers made of a kept one.
func ofOthers(stored *mesh.Instance, keeper mesh.Keeper) bool {
	return stored.Meta.Keeper != keeper && (stored.Meta.Keeper != "" || stored.Epoch != "")
}

func takenBy(other *mesh.Instance) mesh.Fault {
	by := "is registered by somebody else"
	if other.Meta.Keeper != "" {
		by = "is kept by " + string(other.Meta.Keeper)
	}
	return mesh.Fault{Path: "instances/" + string(other.ID), Message: by}
}

// refusal says which instances could not be kept.
func (k *keeping) refusal() error {
	if len(k.taken) == 0 {
		return nil
	}
	return &mesh.Error{
		Kind: mesh.KindConflict, Reason: mesh.ReasonTaken, Faults: k.taken,
		Message: fmt.Sprintf("%s: %d of %d have IDs that others have already; all others are kept as they were given", k.tried, len(k.taken), len(k.wanted)),
	}
}
