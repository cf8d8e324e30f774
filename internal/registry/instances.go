package registry

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of a registration.
const (
	MinTTL            = 2 * time.Second
	MaxTTL            = 24 * time.Hour
	DefaultTTL        = 15 * time.Second
	MaxBatch          = 100              // instances in one Register; etcd takes 128 operations in a transaction
	confirmedGoneTime = 10 * time.Second // how long the mark of an operator's removal may stay
)

// Register writes instances, each bound to a lease of its own: all of them or
// none. An instance that is registered already is taken over, and its former
// owner can no longer renew or remove it.
func (s *Store) Register(ctx context.Context, list []mesh.Instance, ttl time.Duration, w Write) ([]mesh.Instance, error) {
	if err := checkRegistration(list, ttl); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	tried := "register " + instances.title(&list[0])
	if len(list) > 1 {
		tried += " and " + strconv.Itoa(len(list)-1) + " more"
	}
	t := s.newTxn(tried, w)
	values := make([]json.RawMessage, len(list))
	leases := make([]clientv3.LeaseID, 0, len(list))
	for i, instance := range list {
		lease, err := s.client.Grant(ctx, seconds(ttl))
		if err != nil {
			s.revoke(ctx, leases)
			return nil, refusal(err, tried)
		}
		leases = append(leases, lease.ID)
		instance.Epoch, instance.Stale = epochOf(lease.ID), false
		value, err := instances.encode(instance, w, timeNow())
		if err != nil {
			s.revoke(ctx, leases)
			return nil, err
		}
		values[i] = value
		key := instanceKey(instance.Key())
		if w.Create {
			t.require(clientv3.Compare(clientv3.CreateRevision(key), "=", 0), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
				return refuseExisting(instances.title(&instance), found)
			})
		}
		t.do(clientv3.OpPut(key, string(value), clientv3.WithLease(lease.ID)))
	}
	whole, err := json.Marshal(values)
	if err != nil {
		s.revoke(ctx, leases)
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	stored, revision, err := t.commit(ctx, registrationContent(list, ttl), whole)
	if err != nil {
		s.revoke(ctx, leases)
		return nil, err
	}
	registered, err := readRegistered(list, stored, revision)
	if err == nil && registered[0].Epoch != epochOf(leases[0]) { // the answer of the first time: nothing was written
		s.revoke(ctx, leases)
	}
	return registered, err
}

func checkRegistration(list []mesh.Instance, ttl time.Duration) error {
	var faults mesh.Faults
	if len(list) == 0 {
		faults.Add("instances", "is empty")
	}
	if len(list) > MaxBatch {
		faults.Add("instances", "has %d entries; at most %d are registered at once", len(list), MaxBatch)
		list = nil
	}
	if ttl < MinTTL || ttl > MaxTTL {
		faults.Add("ttl", "is %s; it has to be from %s to %s", ttl, MinTTL, MaxTTL)
	}
	seen := map[mesh.InstanceKey]bool{}
	for i := range list {
		path := "instances[" + strconv.Itoa(i) + "]"
		for _, fault := range list[i].Validate() {
			faults = append(faults, mesh.Fault{Path: path + "." + fault.Path, Message: fault.Message})
		}
		if seen[list[i].Key()] {
			faults.Add(path+".id", "is given twice")
		}
		seen[list[i].Key()] = true
	}
	return mesh.Invalid("register instances", faults)
}

func registrationContent(list []mesh.Instance, ttl time.Duration) string {
	content := "register " + ttl.String()
	for _, instance := range list {
		instance.Epoch = ""
		content += contentOf(" ", instance, instances.meta)
	}
	return content
}

func readRegistered(list []mesh.Instance, stored []byte, revision int64) ([]mesh.Instance, error) {
	var values []json.RawMessage
	err := json.Unmarshal(stored, &values)
	if err == nil && len(values) != len(list) {
		err = errors.New("it holds another number of instances")
	}
	out := make([]mesh.Instance, len(list))
	for i := range list {
		if err != nil {
			break
		}
		var one *mesh.Instance
		if one, err = instances.decode(instanceKey(list[i].Key()), values[i], revision); err == nil {
			out[i] = *one
		}
	}
	if err != nil {
		return nil, mesh.Unavailable(err, "register instances: what is stored cannot be read back")
	}
	return out, nil
}

// Renew prolongs an instance's lease by its TTL, and gives that. Not found: the
// lease has ended, register anew. Conflict: somebody else has registered it.
func (s *Store) Renew(ctx context.Context, key mesh.InstanceKey, epoch string) (time.Duration, error) {
	tried := "renew instance " + key.String()
	if _, _, err := s.owned(ctx, key, epoch, tried); err != nil {
		return 0, err
	}
	lease, err := leaseOf(epoch)
	if err != nil {
		return 0, mesh.Conflict("%s: it has another epoch", tried)
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
	instance, kv, err := s.owned(ctx, key, epoch, tried)
	if err != nil {
		return mesh.Instance{}, err
	}
	instance.Health = health
	if err := mesh.Invalid(tried, instance.Validate()); err != nil {
		return mesh.Instance{}, err
	}
	return s.replace(ctx, instance, kv, w, tried)
}

// Deregister removes an instance. epoch "" does it whoever has registered it;
// with it, watchers are told even if there is no such instance, so that one
// that they keep after its lease ended is confirmed gone.
func (s *Store) Deregister(ctx context.Context, key mesh.InstanceKey, epoch string, w Write) error {
	tried := "deregister instance " + key.String()
	instance, kv, err := s.owned(ctx, key, epoch, tried)
	if mesh.KindOf(err) == mesh.KindNotFound && epoch == "" {
		if told := s.confirmGone(ctx, key, w, tried); told != nil {
			return told
		}
		return err
	}
	if err != nil {
		return err
	}
	// Marked, then deleted: watchers see that this is no expired lease. After a
	// crash between the two the mark goes with the lease.
	instance.Health = mesh.Removed
	if _, err := s.replace(ctx, instance, kv, w, tried); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if _, err := s.client.Delete(ctx, string(kv.Key)); err != nil {
		return refusal(err, tried)
	}
	if lease, err := leaseOf(instance.Epoch); err == nil {
		s.revoke(ctx, []clientv3.LeaseID{lease})
	}
	return nil
}

// confirmGone tells watchers that an instance that is not stored is gone for good.
func (s *Store) confirmGone(ctx context.Context, key mesh.InstanceKey, w Write, tried string) error {
	// Address and port only make the mark a valid value.
	mark := mesh.Instance{ID: key.ID, Service: key.Service, Address: "127.0.0.1", Port: 1}
	if len(mark.Validate()) > 0 {
		return nil // no such instance can ever have been
	}
	mark.Health = mesh.Removed
	value, err := instances.encode(mark, w, timeNow())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	lease, err := s.client.Grant(ctx, seconds(confirmedGoneTime))
	if err != nil {
		return refusal(err, tried)
	}
	name := instanceKey(key)
	answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(name), "=", 0)).
		Then(clientv3.OpPut(name, string(value), clientv3.WithLease(lease.ID))).Commit()
	if err != nil {
		return refusal(err, tried)
	}
	if answer.Succeeded {
		s.revoke(ctx, []clientv3.LeaseID{lease.ID}) // deletes the mark
	}
	return nil
}

// Instances reads the instances of a service, or of all when it is "", and the
// revision at which they were read.
func (s *Store) Instances(ctx context.Context, service mesh.ServiceName) ([]mesh.Instance, int64, error) {
	prefix := instancePrefix
	if service != "" {
		if len(service) > maxKeyName {
			return nil, 0, mesh.NotFound("service %s does not exist", quoted(string(service)))
		}
		prefix += string(service) + "/"
	}
	return list(ctx, s, &instances, prefix)
}

// owned reads an instance and makes sure that it has this epoch.
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
		if epoch == "" { // an operator clears it away
			return mesh.Instance{ID: key.ID, Service: key.Service, Address: "127.0.0.1", Port: 1, Epoch: epochOf(clientv3.LeaseID(kv.Lease))}, kv, nil
		}
		return mesh.Instance{}, nil, mesh.Unavailable(err, "%s: its value in etcd is corrupt; register it anew", tried)
	}
	if epoch != "" && instance.Epoch != epoch {
		return mesh.Instance{}, nil, mesh.Conflict("%s: it was registered anew by somebody else, with another epoch", tried)
	}
	return *instance, kv, nil
}

// replace writes an instance over the one that was read, on the same lease.
func (s *Store) replace(ctx context.Context, instance mesh.Instance, before *mvccpb.KeyValue, w Write, tried string) (mesh.Instance, error) {
	value, err := instances.encode(instance, w, timeNow())
	if err != nil {
		return mesh.Instance{}, err
	}
	key := string(before.Key)
	t := s.newTxn(tried, w)
	t.require(clientv3.Compare(clientv3.ModRevision(key), "=", before.ModRevision), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
		if len(found) == 0 {
			return mesh.NotFound("%s: its lease has just ended", tried)
		}
		return nil
	})
	t.do(clientv3.OpPut(key, string(value), clientv3.WithLease(clientv3.LeaseID(before.Lease))))
	_, revision, err := t.commit(ctx, tried+string(value), value)
	if err != nil {
		return mesh.Instance{}, err
	}
	instance.Meta = mesh.Meta{Revision: revision, Author: w.Author, Source: w.Source, UpdatedAt: timeNow().UTC()}
	return instance, nil
}

// revoke ends leases that nothing needs any more. What fails here ends by itself.
func (s *Store) revoke(ctx context.Context, leases []clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, lease := range leases {
		if _, err := s.client.Revoke(ctx, lease); err != nil {
			s.logger.Debug("a lease could not be revoked; it ends by itself", "lease", epochOf(lease), "error", err)
			return
		}
	}
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// epochOf names a registration by its lease.
func epochOf(lease clientv3.LeaseID) string { return strconv.FormatInt(int64(lease), 16) }

func leaseOf(epoch string) (clientv3.LeaseID, error) {
	id, err := strconv.ParseInt(epoch, 16, 64)
	return clientv3.LeaseID(id), err
}
