package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// kind is what the registry has to know of a type of stored object. T is the
// type in the model.
type kind[T any] struct {
	noun     string // for messages
	prefix   string
	name     func(*T) string // the key below prefix
	meta     func(*T) *mesh.Meta
	owner    func(*T) string // nil: nobody in particular
	kept     bool            // whether a write leaves what it wrote to the history
	validate func(*T) mesh.Faults
	change   func(*T) mesh.Change
}

// ownerOf is whose an object is, "" for nobody in particular.
func (k *kind[T]) ownerOf(object *T) string {
	if k.owner == nil {
		return ""
	}
	return k.owner(object)
}

var services = kind[mesh.Service]{
	noun: "service", prefix: servicePrefix, kept: true,
	name:     func(s *mesh.Service) string { return string(s.Name) },
	meta:     func(s *mesh.Service) *mesh.Meta { return &s.Meta },
	owner:    func(s *mesh.Service) string { return s.Owner },
	validate: (*mesh.Service).Validate,
	change:   func(s *mesh.Service) mesh.Change { return mesh.Change{Service: s} },
}

var instances = kind[mesh.Instance]{
	noun: "instance", prefix: instancePrefix,
	name: func(i *mesh.Instance) string { return i.Key().String() },
	meta: func(i *mesh.Instance) *mesh.Meta { return &i.Meta },
	validate: func(i *mesh.Instance) mesh.Faults {
		plain := *i
		if plain.Health == mesh.Removed { // only the registry itself writes it
			plain.Health = mesh.Healthy
		}
		return plain.Validate()
	},
	change: func(i *mesh.Instance) mesh.Change { return mesh.Change{Instance: i} },
}

var routes = kind[mesh.Route]{
	noun: "route", prefix: routePrefix, kept: true,
	name:     func(r *mesh.Route) string { return string(r.Name) },
	meta:     func(r *mesh.Route) *mesh.Meta { return &r.Meta },
	owner:    func(r *mesh.Route) string { return r.Owner },
	validate: (*mesh.Route).Validate,
	change:   func(r *mesh.Route) mesh.Change { return mesh.Change{Route: r} },
}

var runtimes = kind[mesh.Runtime]{
	noun: "runtime layer", prefix: runtimeKey, kept: true,
	name:     func(*mesh.Runtime) string { return "" },
	meta:     func(r *mesh.Runtime) *mesh.Meta { return &r.Meta },
	validate: (*mesh.Runtime).Validate,
	change:   func(r *mesh.Runtime) mesh.Change { return mesh.Change{Runtime: r} },
}

var tokenKeys = kind[mesh.TokenKeys]{
	noun: "public keys of tokens", prefix: tokenKeysKey,
	name:     func(*mesh.TokenKeys) string { return "" },
	meta:     func(k *mesh.TokenKeys) *mesh.Meta { return &k.Meta },
	validate: (*mesh.TokenKeys).Validate,
	change:   func(k *mesh.TokenKeys) mesh.Change { return mesh.Change{TokenKeys: k} },
}

var authorizers = kind[mesh.Authorizer]{
	noun: "authorizer", prefix: authorizerPrefix,
	name:     func(a *mesh.Authorizer) string { return a.ID },
	meta:     func(a *mesh.Authorizer) *mesh.Meta { return &a.Meta },
	validate: (*mesh.Authorizer).Validate,
	change:   func(a *mesh.Authorizer) mesh.Change { return mesh.Change{Authorizer: a} },
}

var revocations = kind[mesh.Revocation]{
	noun: "revocation", prefix: revocationPrefix,
	name:     func(r *mesh.Revocation) string { return r.Of },
	meta:     func(r *mesh.Revocation) *mesh.Meta { return &r.Meta },
	validate: (*mesh.Revocation).Validate,
	change:   func(r *mesh.Revocation) mesh.Change { return mesh.Change{Revocation: r} },
}

var vms = kind[mesh.VM]{
	noun: "VM", prefix: vmPrefix,
	name:     func(v *mesh.VM) string { return v.Key().String() },
	meta:     func(v *mesh.VM) *mesh.Meta { return &v.Meta },
	validate: (*mesh.VM).Validate,
	change:   func(v *mesh.VM) mesh.Change { return mesh.Change{VM: v} },
}

var vmSnapshots = kind[mesh.VMSnapshot]{
	noun: "snapshot of VMs", prefix: vmSnapshotKey,
	name:     func(*mesh.VMSnapshot) string { return "" },
	meta:     func(v *mesh.VMSnapshot) *mesh.Meta { return &v.Meta },
	validate: func(*mesh.VMSnapshot) mesh.Faults { return nil },
	change:   func(v *mesh.VMSnapshot) mesh.Change { return mesh.Change{VMSnapshot: v} },
}

var discoveries = kind[mesh.DiscoverySource]{
	noun: "status of a source", prefix: discoveryPrefix,
	name:     func(s *mesh.DiscoverySource) string { return s.Name },
	meta:     func(*mesh.DiscoverySource) *mesh.Meta { return &mesh.Meta{} }, // nobody asks for it
	validate: func(*mesh.DiscoverySource) mesh.Faults { return nil },
	change:   func(s *mesh.DiscoverySource) mesh.Change { return mesh.Change{Discovery: s} },
}

var rosters = kind[mesh.DiscoveryRoster]{
	noun: "roster of discovery", prefix: rosterKey,
	name:     func(*mesh.DiscoveryRoster) string { return "" },
	meta:     func(*mesh.DiscoveryRoster) *mesh.Meta { return &mesh.Meta{} },
	validate: func(*mesh.DiscoveryRoster) mesh.Faults { return nil },
	change:   func(r *mesh.DiscoveryRoster) mesh.Change { return mesh.Change{Roster: r} },
}

var placings = kind[mesh.Placing]{
	noun: "status of placing", prefix: placingKey,
	name:     func(*mesh.Placing) string { return "" },
	meta:     func(*mesh.Placing) *mesh.Meta { return &mesh.Meta{} },
	validate: func(*mesh.Placing) mesh.Faults { return nil },
	change:   func(p *mesh.Placing) mesh.Change { return mesh.Change{Placing: p} },
}

func (k *kind[T]) key(object *T) string { return k.prefix + k.name(object) }

func (k *kind[T]) title(object *T) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s", k.noun, k.name(object)))
}

// audited names an object as the audit does.
func (k *kind[T]) audited(key string) string {
	noun := strings.TrimSuffix(k.noun, " layer")
	if name := strings.TrimPrefix(key, k.prefix); name != "" {
		return noun + "/" + name
	}
	return noun
}

// encode gives the stored form: the model's JSON, without the revision, which
// is etcd's to say, and with the trace of the write, if it is followed.
func (k *kind[T]) encode(object T, w Write, now time.Time) ([]byte, error) {
	*k.meta(&object) = mesh.Meta{Author: w.Author, Source: w.Source, UpdatedAt: now.UTC(), Keeper: w.Keeper}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "write " + k.title(&object), Err: err}
	}
	if w.trace != "" {
		data = fmt.Appendf(data[:len(data)-1], `,"trace":%q}`, w.trace)
	}
	return data, nil
}

// traceIn finds what encode has added. Most writes are not followed, and are not
// read a second time.
func traceIn(value []byte) string {
	if !bytes.Contains(value, []byte(`"trace":`)) {
		return ""
	}
	var followed struct {
		Trace string `json:"trace"`
	}
	if json.Unmarshal(value, &followed) != nil {
		return "" // of something else: the write is not followed
	}
	return followed.Trace
}

// decode reads a stored value. Fields that are not known are passed over, so
// that a newer Heddle may write beside an older one. What the model would refuse
// is refused, except for rules about new writes.
func (k *kind[T]) decode(key string, value []byte, revision int64) (*T, error) {
	object, _, err := k.read(key, value, revision)
	return object, err
}

// read is decode, and gives the faults for which the object would be refused if
// it were written now: it was written by an older Heddle, and an upgrade takes
// nothing away.
func (k *kind[T]) read(key string, value []byte, revision int64) (*T, mesh.Faults, error) {
	object := new(T)
	if err := json.Unmarshal(value, object); err != nil {
		return nil, nil, fmt.Errorf("not the JSON of a %s: %w", k.noun, err)
	}
	if k.key(object) != key {
		return nil, nil, fmt.Errorf("the %s in it is %q, not the key's", k.noun, k.name(object))
	}
	faults := k.validate(object)
	if bad := faults.OfStored(); len(bad) > 0 {
		return nil, nil, fmt.Errorf("not a valid %s: %s", k.noun, bad.String())
	}
	meta := k.meta(object)
	meta.Revision, meta.Trace = revision, traceIn(value)
	return object, faults, nil
}

// decodeChange reads any value of the mesh, as [kind.read] does.
func decodeChange(key string, value []byte, revision int64) (mesh.Change, mesh.Faults, error) {
	switch {
	case strings.HasPrefix(key, servicePrefix):
		return changeOf(&services, key, value, revision)
	case strings.HasPrefix(key, instancePrefix):
		return changeOf(&instances, key, value, revision)
	case strings.HasPrefix(key, routePrefix):
		return changeOf(&routes, key, value, revision)
	case key == runtimeKey:
		return changeOf(&runtimes, key, value, revision)
	case key == tokenKeysKey:
		return changeOf(&tokenKeys, key, value, revision)
	case strings.HasPrefix(key, authorizerPrefix):
		return changeOf(&authorizers, key, value, revision)
	case strings.HasPrefix(key, revocationPrefix):
		return changeOf(&revocations, key, value, revision)
	case strings.HasPrefix(key, vmPrefix):
		return changeOf(&vms, key, value, revision)
	case key == vmSnapshotKey:
		return changeOf(&vmSnapshots, key, value, revision)
	case strings.HasPrefix(key, discoveryPrefix):
		return changeOf(&discoveries, key, value, revision)
	case key == rosterKey:
		return changeOf(&rosters, key, value, revision)
	case key == placingKey:
		return changeOf(&placings, key, value, revision)
	}
	return mesh.Change{}, nil, fmt.Errorf("nothing of the mesh has the key %q", key)
}

func changeOf[T any](k *kind[T], key string, value []byte, revision int64) (mesh.Change, mesh.Faults, error) {
	object, faults, err := k.read(key, value, revision)
	if err != nil {
		return mesh.Change{}, nil, err
	}
	change := k.change(object)
	change.Revision = revision
	return change, faults, nil
}

// deletionOf names what was deleted, by its key alone.
func deletionOf(key string, revision int64) (mesh.Change, bool) {
	change := mesh.Change{Deleted: true, Revision: revision}
	switch {
	case strings.HasPrefix(key, servicePrefix):
		change.Service = &mesh.Service{Name: mesh.ServiceName(key[len(servicePrefix):])}
	case strings.HasPrefix(key, routePrefix):
		change.Route = &mesh.Route{Name: mesh.RouteName(key[len(routePrefix):])}
	case strings.HasPrefix(key, instancePrefix):
		service, id, ok := strings.Cut(key[len(instancePrefix):], "/")
		if !ok {
			return mesh.Change{}, false
		}
		change.Instance = &mesh.Instance{Service: mesh.ServiceName(service), ID: mesh.InstanceID(id)}
	case key == runtimeKey:
		change.Runtime = &mesh.Runtime{}
	case key == tokenKeysKey:
		change.TokenKeys = &mesh.TokenKeys{}
	case strings.HasPrefix(key, authorizerPrefix):
		change.Authorizer = &mesh.Authorizer{ID: key[len(authorizerPrefix):]}
	case strings.HasPrefix(key, revocationPrefix):
		change.Revocation = &mesh.Revocation{Of: key[len(revocationPrefix):]}
	case strings.HasPrefix(key, vmPrefix):
		source, id, ok := strings.Cut(key[len(vmPrefix):], "/")
		if !ok {
			return mesh.Change{}, false
		}
		change.VM = &mesh.VM{Source: source, ID: id}
	case key == vmSnapshotKey:
		change.VMSnapshot = &mesh.VMSnapshot{}
	case strings.HasPrefix(key, discoveryPrefix):
		change.Discovery = &mesh.DiscoverySource{Name: key[len(discoveryPrefix):]}
	case key == rosterKey:
		change.Roster = &mesh.DiscoveryRoster{}
	case key == placingKey:
		change.Placing = &mesh.Placing{}
	default:
		return mesh.Change{}, false
	}
	return change, true
}
