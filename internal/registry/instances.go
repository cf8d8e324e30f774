package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of a registration.
const (
	MinTTL            = 2 * time.Second
	MaxTTL            = 24 * time.Hour
	DefaultTTL        = 15 * time.Second
	MaxBatch          = 100              // instances in one Register; etcd takes 128 operations in a transaction
	confirmedGoneTime = 10 * time.Second // how long the mark of an operator's removal may stay
	grantsAtOnce      = 32
)

// Register writes instances, each bound to a lease of its own: all of them or
// none. An instance that is registered already is taken over, and its former
// owner can no longer renew or remove it.
func (s *Store) Register(ctx context.Context, list []mesh.Instance, ttl time.Duration, w Write) ([]mesh.Instance, error) {
	if err := checkRegistration(list, ttl); err != nil {
		return nil, err
	}
	guards, err := s.registrationRight(ctx, list, w)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	w = s.followed(ctx, w)
	tried := "register " + instances.title(&list[0])
	if len(list) > 1 {
		tried += " and " + strconv.Itoa(len(list)-1) + " more"
	}
	leases, err := s.grant(ctx, len(list), ttl)
	if err != nil {
		s.revoke(ctx, leases)
		return nil, refusal(err, tried)
	}
	values, puts, err := registrationOf(list, leases, w)
	if err != nil {
		s.revoke(ctx, leases)
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	var stored []byte
	var revision int64
	for tries := 1; ; tries++ {
		t := s.newTxn(tried, w)
		t.guard(guards...)
		for i := range list {
			if key := instanceKey(list[i].Key()); w.Create {
				t.require(clientv3.Compare(clientv3.CreateRevision(key), "=", 0), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
					return refuseExisting(instances.title(&list[i]), found)
				})
			}
		}
		t.do(puts...)
		stored, revision, err = t.commit(ctx, registrationContent(list, ttl), values)
		if tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			break
		}
		if guards, err = s.registrationRight(ctx, list, w); err != nil {
			break
		}
	}
	if err != nil {
		// Unless etcd has refused it, it may have been done all the same. With a request
		// id, that is what its repetition will be told: then the leases have to live.
		kind := mesh.KindOf(err)
		if w.RequestID == "" || kind == mesh.KindConflict || kind == mesh.KindInvalid {
			s.revoke(ctx, leases)
		}
		return nil, err
	}
	registered, err := readRegistered(list, stored, revision)
	if err == nil && registered[0].Epoch != epochOf(leases[0]) { // the answer of the first time: nothing was written
		s.revoke(ctx, leases)
		return registered, nil
	}
	for i := range registered {
		s.LogAudit(ctx, w, "register", "instance/"+registered[i].Key().String(), registered[i].Service)
	}
	return registered, err
}

// registrationRight judges a registration: of services of which the writer may write
// the instances, and of none that a keeper has.
func (s *Store) registrationRight(ctx context.Context, list []mesh.Instance, w Write) ([]guard, error) {
	names := make([]mesh.ServiceName, len(list))
	for i := range list {
		names[i] = list[i].Service
	}
	guards, err := s.instancesRight(ctx, w.By, names...)
	if err != nil {
		return nil, err
	}
	unkept, err := s.unkept(ctx, list)
	return append(guards, unkept...), err
}

// registrationOf gives the stored form of a registration, each instance on its lease.
func registrationOf(list []mesh.Instance, leases []clientv3.LeaseID, w Write) (whole []byte, puts []clientv3.Op, err error) {
	values := make([]json.RawMessage, len(list))
	for i, instance := range list {
		instance.Epoch, instance.Stale = epochOf(leases[i]), false
		if values[i], err = instances.encode(instance, w, timeNow()); err != nil {
			return nil, nil, err
		}
		puts = append(puts, clientv3.OpPut(instanceKey(instance.Key()), string(values[i]), clientv3.WithLease(leases[i])))
	}
	whole, err = json.Marshal(values)
	return whole, puts, err
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
	return mesh.Invalid("the registration is not valid", faults)
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
	all, revision, err := list(ctx, s, &instances, prefix)
	return slices.DeleteFunc(all, func(i mesh.Instance) bool { return i.Health == mesh.Removed }), revision, err
}

// grant takes leases at once, so that etcd writes many of them to disk together.
// With an error it gives those that were granted.
func (s *Store) grant(ctx context.Context, count int, ttl time.Duration) ([]clientv3.LeaseID, error) {
	ids := make([]clientv3.LeaseID, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(grantsAtOnce)
	for i := range ids {
		group.Go(func() error {
			lease, err := s.client.Grant(ctx, seconds(ttl))
			if err == nil {
				ids[i] = lease.ID
			}
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(ids, func(id clientv3.LeaseID) bool { return id == clientv3.NoLease }), err
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

// seconds is a lease's time: not less than what it is for, and at least one.
func seconds(d time.Duration) int64 { return max(int64((d+time.Second-1)/time.Second), 1) }

// epochOf names a registration by its lease.
func epochOf(lease clientv3.LeaseID) string { return strconv.FormatInt(int64(lease), 16) }

func leaseOf(epoch string) (clientv3.LeaseID, error) {
	id, err := strconv.ParseInt(epoch, 16, 64)
	return clientv3.LeaseID(id), err
}
