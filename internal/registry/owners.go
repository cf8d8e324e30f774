package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Renew prolongs an instance's lease by its TTL, and gives that. Not found: the
// lease has ended, or the instance was deregistered; register anew. Conflict:
// somebody else has registered it.
func (s *Store) Renew(ctx context.Context, key mesh.InstanceKey, epoch string) (time.Duration, error) {
	tried := "renew instance " + key.String()
	if _, _, err := s.owned(ctx, key, epoch, tried); err != nil {
		return 0, err
	}
	lease, err := leaseOf(epoch)
	if err != nil {
		return 0, mesh.ConflictBecause(mesh.ReasonOtherEpoch, "%s: it has another epoch", tried)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	kept, err := s.client.KeepAliveOnce(ctx, lease)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return 0, mesh.NotFound("%s: its lease has ended", tried)
	}
	if err != nil {
		return 0, refusal(err, tried)
	}
	return time.Duration(kept.TTL) * time.Second, nil
}

// SetHealth changes an instance's health: to draining before it leaves, and
// back. epoch "" does it whoever has registered it.
func (s *Store) SetHealth(ctx context.Context, key mesh.InstanceKey, epoch string, health mesh.Health, w Write) (mesh.Instance, error) {
	tried := "change the health of instance " + key.String()
	plain := mesh.Instance{ID: "x", Service: "x", Address: "127.0.0.1", Port: 1, Health: health}
	if err := mesh.Invalid(tried, plain.Validate()); err != nil {
		return mesh.Instance{}, err
	}
	instance, kv, err := s.mark(ctx, key, epoch, health, w, tried)
	if err == nil && kv != nil {
		s.LogAudit(ctx, w, string(health), "instance/"+key.String(), key.Service)
	}
	return instance, err
}

// Deregister removes an instance. epoch "" does it whoever has registered it.
// One that is not registered is not found, and nothing is written; see
// [Store.ConfirmGone] for one whose lease ended.
func (s *Store) Deregister(ctx context.Context, key mesh.InstanceKey, epoch string, w Write) error {
	tried := "deregister instance " + key.String()
	// Marked, then deleted: watchers see that this is no expired lease. After a
	// crash between the two the mark goes with the lease, which nobody can renew.
	_, marked, err := s.mark(ctx, key, epoch, mesh.Removed, w, tried)
	if err != nil || marked == nil {
		return err
	}
	s.LogAudit(ctx, w, "deregister", "instance/"+key.String(), key.Service)
	return s.end(ctx, marked, tried)
}

// end deletes an instance with its lease. One that somebody has registered anew
// meanwhile is on another lease, and stays.
func (s *Store) end(ctx context.Context, marked *mvccpb.KeyValue, tried string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if marked.Lease != 0 {
		_, err := s.client.Revoke(ctx, clientv3.LeaseID(marked.Lease))
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil // it has ended by itself, and the key with it
		}
		return refusal(err, tried)
	}
	key := string(marked.Key) // not written by a registration
	_, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.LeaseValue(key), "=", clientv3.NoLease)).Then(clientv3.OpDelete(key)).Commit()
	return refusal(err, tried)
}

// ConfirmGone tells all watchers that these instances, which they may keep after
// their leases ended, are gone for good; none is given twice. It gives those of
// which it did so: one that is registered, perhaps anew, is left alone. With an
// error it gives those that were done before.
func (s *Store) ConfirmGone(ctx context.Context, kept []mesh.Instance, w Write) ([]mesh.Instance, error) {
	var gone []mesh.Instance
	for some := range slices.Chunk(kept, MaxBatch) {
		told, err := s.confirmGone(ctx, some, w, "deregister stale instances, from "+some[0].Key().String()+" on")
		if err != nil {
			return gone, err
		}
		gone = append(gone, told...)
		for i := range told {
			s.LogAudit(ctx, w, "deregister stale", "instance/"+told[i].Key().String(), told[i].Service)
		}
	}
	return gone, nil
}

// confirmGone does [Store.ConfirmGone] for at most [MaxBatch] instances. Each
// gets the mark of a removal for a moment.
func (s *Store) confirmGone(ctx context.Context, kept []mesh.Instance, w Write, tried string) ([]mesh.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	lease, err := s.client.Grant(ctx, seconds(confirmedGoneTime))
	if err != nil {
		return nil, refusal(err, tried)
	}
	defer s.revoke(ctx, []clientv3.LeaseID{lease.ID}) // deletes the marks that were written
	for len(kept) > 0 {
		var absent []clientv3.Cmp
		var marks, look []clientv3.Op
		for _, mark := range kept {
			mark.Health, mark.Epoch, mark.Stale = mesh.Removed, "", false
			value, err := instances.encode(mark, w, timeNow())
			if err != nil {
				return nil, err
			}
			name := instances.key(&mark)
			absent = append(absent, clientv3.Compare(clientv3.CreateRevision(name), "=", 0))
			marks = append(marks, clientv3.OpPut(name, string(value), clientv3.WithLease(lease.ID)))
			look = append(look, clientv3.OpGet(name, clientv3.WithKeysOnly()))
		}
		answer, err := s.client.Txn(ctx).If(absent...).Then(marks...).Else(look...).Commit()
		if err != nil {
			return nil, refusal(err, tried)
		}
		if answer.Succeeded {
			break
		}
		var rest []mesh.Instance
		for i, one := range answer.Responses {
			if len(one.GetResponseRange().GetKvs()) == 0 {
				rest = append(rest, kept[i])
			}
		}
		kept = rest
	}
	return kept, nil
}

// owned reads an instance and makes sure that it has this epoch, and that nobody
// is removing it. The key is given beside an error when it may be removed.
func (s *Store) owned(ctx context.Context, key mesh.InstanceKey, epoch, tried string) (mesh.Instance, *mvccpb.KeyValue, error) {
	if len(key.Service)+len(key.ID) > maxKeyName {
		return mesh.Instance{}, nil, mesh.NotFound("%s: it is not registered", "instance "+quoted(key.String()))
	}
	kv, err := s.read(ctx, instanceKey(key), tried)
	if err != nil {
		return mesh.Instance{}, nil, err
	}
	if kv == nil {
		return mesh.Instance{}, nil, mesh.NotFound("%s: it is not registered; its lease has ended, or it was deregistered", tried)
	}
	instance, err := instances.decode(string(kv.Key), kv.Value, kv.ModRevision)
	if err != nil {
		return mesh.Instance{}, kv, mesh.Unavailable(err, "%s: its value in etcd is corrupt; register it anew", tried)
	}
	if keeper := instance.Meta.Keeper; keeper != "" {
		return mesh.Instance{}, nil, keptInstance(tried, keeper)
	}
	if epoch != "" && instance.Epoch != epoch {
		return mesh.Instance{}, nil, mesh.ConflictBecause(mesh.ReasonOtherEpoch, "%s: it was registered anew by somebody else, with another epoch", tried)
	}
	if instance.Health == mesh.Removed {
		return mesh.Instance{}, kv, mesh.NotFound("%s: it was deregistered", tried)
	}
	return *instance, kv, nil
}

// errOvertaken is the cause of a conflict with a write that came between reading
// and writing.
var errOvertaken = errors.New("it was written to meanwhile")

// overtakenAtMost bounds how often a change of health starts anew because
// another write came first.
const overtakenAtMost = 20

// mark changes the health of an instance on the lease that it has. It gives the
// instance, and the key as it was before; that is nil when the request was made
// before and there is nothing left to do. An instance that is being removed is
// not found, but for another removal, which finishes it.
func (s *Store) mark(ctx context.Context, key mesh.InstanceKey, epoch string, health mesh.Health, w Write, tried string) (mesh.Instance, *mvccpb.KeyValue, error) {
	content := tried + " " + strconv.Quote(epoch) + " " + string(health)
	for tries := 1; ; tries++ {
		instance, kv, err := s.owned(ctx, key, epoch, tried)
		switch {
		case err == nil:
		case kv != nil && health == mesh.Removed && mesh.KindOf(err) == mesh.KindNotFound:
			return mesh.Instance{}, kv, nil // a removal was cut off after its mark
		case kv != nil && health == mesh.Removed && epoch == "": // corrupt: an operator clears it away
			instance = mesh.Instance{ID: key.ID, Service: key.Service, Address: "127.0.0.1", Port: 1}
		default:
			if first, revision, found := s.repeated(ctx, w, content); found {
				instance, err = markedInstance(first, revision, tried)
			}
			return instance, nil, err
		}
		instance.Health = health
		stored, err := s.replace(ctx, instance, kv, content, w, tried)
		if tries < overtakenAtMost && errors.Is(err, errOvertaken) {
			continue
		}
		return stored, kv, err
	}
}

// replace writes an instance over the one that was read, on the same lease.
func (s *Store) replace(ctx context.Context, instance mesh.Instance, before *mvccpb.KeyValue, content string, w Write, tried string) (mesh.Instance, error) {
	value, err := instances.encode(instance, s.followed(ctx, w), timeNow())
	if err != nil {
		return mesh.Instance{}, err
	}
	key := string(before.Key)
	t := s.newTxn(tried, w)
	t.require(clientv3.Compare(clientv3.ModRevision(key), "=", before.ModRevision), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
		switch {
		case len(found) == 0:
			return mesh.NotFound("%s: its lease has just ended", tried)
		case found[0].ModRevision != before.ModRevision:
			return &mesh.Error{Kind: mesh.KindConflict, Message: tried, Err: errOvertaken}
		}
		return nil
	})
	t.do(clientv3.OpPut(key, string(value), clientv3.WithLease(clientv3.LeaseID(before.Lease))))
	stored, revision, err := t.commit(ctx, content, value)
	if err != nil {
		return mesh.Instance{}, err
	}
	return markedInstance(stored, revision, tried)
}

// markedInstance reads what mark has written, now or when the request was first made.
func markedInstance(stored []byte, revision int64, tried string) (mesh.Instance, error) {
	var instance mesh.Instance
	if err := json.Unmarshal(stored, &instance); err != nil {
		return mesh.Instance{}, mesh.Unavailable(err, "%s: what is stored cannot be read back", tried)
	}
	instance.Meta.Revision = revision
	return instance, nil
}
