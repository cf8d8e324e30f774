package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// InstancePath is the path parameters.
type InstancePath struct {
	Service string `path:"service" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"The service's name." example:"orders"`
	ID      string `path:"id" maxLength:"128" pattern:"^[A-Za-z0-9][A-Za-z0-9_.:-]*$" doc:"The instance's ID." example:"orders-1"`
}

func (p InstancePath) key() mesh.InstanceKey {
	return mesh.InstanceKey{Service: mesh.ServiceName(p.Service), ID: mesh.InstanceID(p.ID)}
}

// Registration is one instance and the length of its lease.
type Registration struct {
	mesh.Instance
	TTL mesh.Duration `json:"ttl,omitempty" doc:"How long the lease lasts unless it is renewed: 2s to 24h, default 15s."`
}

// Batch is instances that are registered together, all or none.
type Batch struct {
	Instances []mesh.Instance `json:"instances" nullable:"false" minItems:"1" doc:"Up to 100."`
	TTL       mesh.Duration   `json:"ttl,omitempty" doc:"How long each lease lasts unless it is renewed: 2s to 24h, default 15s."`
}

// Registered is what was registered.
type Registered struct {
	Items []mesh.Instance `json:"items" nullable:"false" doc:"In the order of the request, each with its epoch."`
	TTL   mesh.Duration   `json:"ttl" doc:"How long each lease lasts; renew it after a third of that."`
}

// Renewal names the registration that is renewed.
type Renewal struct {
	Epoch string `json:"epoch" doc:"As the registration gave it."`
}

// Lease is a renewed lease.
type Lease struct {
	TTL mesh.Duration `json:"ttl" doc:"How long it lasts from now on."`
}

// HealthChange is a new health.
type HealthChange struct {
	Health mesh.Health `json:"health" enum:"healthy,draining,unhealthy" doc:"draining before it stops, healthy to take that back."`
	Epoch  string      `json:"epoch,omitempty" doc:"As the registration gave it; left out, whichever registration there is."`
}

const registrationExample = `{"service":"orders","id":"orders-1","address":"10.0.0.7","port":8080,"labels":{"version":"v2"},"ttl":"15s"}`

func (s *Server) instanceOperations() {
	const path, tag = "/api/v1/instances", "instances"
	const one = path + "/{service}/{id}"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "listInstances", summary: "List the instances of all services"}, s.listInstances)
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/services/{name}/instances", tag: tag, id: "listServiceInstances", summary: "List the instances of a service, by ID",
		description: "A service without instances, declared or not, has an empty list.",
	}, s.listServiceInstances)
	register(s, operation{
		method: http.MethodPost, path: path, tag: tag, id: "registerInstances", summary: "Register one instance, or several together",
		description: "A batch is registered as a whole or not at all. An instance that is registered already is replaced, and its former epoch is void.",
		status:      http.StatusCreated, body: oneOf{Registration{}, Batch{}}, example: registrationExample, token: true, refusals: []int{http.StatusConflict},
	}, s.registerInstances)
	s.keepOperation()
	s.keeperOperation()
	s.releaseOperations()
	register(s, operation{
		method: http.MethodPut, path: one + "/lease", tag: tag, id: "renewLease", summary: "Renew an instance's lease",
		description: "404: the lease ended, register again. 409: a newer registration has this name.",
		body:        Renewal{}, example: `{"epoch":"694d81b2c3e4f501"}`, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.renewLease)
	register(s, operation{
		method: http.MethodPut, path: one + "/health", tag: tag, id: "setHealth", summary: "Drain an instance, or take it back",
		body: HealthChange{}, example: `{"health":"draining"}`, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.setHealth)
	register(s, operation{
		method: http.MethodDelete, path: one, tag: tag, id: "deregisterInstance", summary: "Deregister an instance",
		status: http.StatusNoContent, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict},
	}, s.deregister)
	register(s, operation{
		method: http.MethodDelete, path: "/api/v1/services/{name}/stale-instances", tag: tag, id: "deregisterStaleInstances", summary: "Deregister the stale instances of a service",
		description: "Those whose leases ended, and that are kept because most of the service's ended at once: as this server knows them. The answer lists them, by ID. One that registers meanwhile stays.",
		token:       true,
	}, s.deregisterStale)
}

func (s *Server) listInstances(ctx context.Context, _ *struct{}) (*Listed[mesh.Instance], error) {
	all, revision, err := s.cfg.Registry.Instances(ctx, "")
	if err != nil {
		return nil, err
	}
	return listed(withStale(all, slices.Collect(s.cfg.Catalog.View().AllInstances())), revision), nil
}

func (s *Server) listServiceInstances(ctx context.Context, in *ServicePath) (*Listed[mesh.Instance], error) {
	if err := serviceNameFault(in.Name); err != nil {
		return nil, err
	}
	name := mesh.ServiceName(in.Name)
	all, revision, err := s.cfg.Registry.Instances(ctx, name)
	if err != nil {
		return nil, err
	}
	return listed(withStale(all, s.cfg.Catalog.View().Instances(name)), revision), nil
}

// withStale adds the instances that are kept though their leases ended: they
// still get traffic, so whoever lists instances has to see them.
func withStale(stored []mesh.Instance, seen []*mesh.Instance) []mesh.Instance {
	there := make(map[mesh.InstanceKey]bool, len(stored))
	for i := range stored {
		there[stored[i].Key()] = true
	}
	kept := len(stored)
	for _, one := range seen {
		if one.Stale && !there[one.Key()] {
			stored = append(stored, *one)
		}
	}
	if len(stored) > kept {
		slices.SortFunc(stored, func(a, b mesh.Instance) int { return strings.Compare(a.Key().String(), b.Key().String()) })
	}
	return stored
}

type registeredAnswer struct {
	Body Registered
}

func (s *Server) registerInstances(ctx context.Context, in *struct {
	Call
	Repeatable
}) (*registeredAnswer, error) {
	token, err := s.authenticateWorkload(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	batch, single, err := in.batch()
	if err != nil {
		return nil, err
	}
	scopes := make([]mesh.ServiceName, len(batch.Instances))
	for i := range batch.Instances {
		scopes[i] = batch.Instances[i].Service
	}
	if len(scopes) > 0 {
		in.object, in.service = "instance/"+shown(batch.Instances[0].Key().String()), scopes[0]
	}
	if err := allow(token, scopes...); err != nil {
		return nil, err
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	ttl := batch.TTL.Std()
	if ttl == 0 {
		ttl = registry.DefaultTTL
	}
	stored, err := s.cfg.Registry.Register(ctx, batch.Instances, ttl, write)
	if err != nil {
		return nil, ofSingle(err, single)
	}
	return &registeredAnswer{Body: Registered{Items: stored, TTL: mesh.Duration(ttl)}}, nil
}

// batch reads either form of a registration.
func (c *Call) batch() (batch Batch, single bool, err error) {
	data, err := c.body()
	if err != nil {
		return Batch{}, false, err
	}
	if given(data, "instances") {
		return batch, false, decode(data, &batch)
	}
	var one Registration
	if err := decode(data, &one); err != nil {
		return Batch{}, true, err
	}
	return Batch{Instances: []mesh.Instance{one.Instance}, TTL: one.TTL}, true, nil
}

// ofSingle takes the index of a batch off the paths, which the caller of a
// single registration has never seen.
func ofSingle(err error, single bool) error {
	if e, ok := err.(*mesh.Error); ok && single { //nolint:errorlint // wrapped, the paths would be somebody else's
		for i := range e.Faults {
			e.Faults[i].Path = strings.TrimPrefix(e.Faults[i].Path, "instances[0].")
		}
	}
	return err
}

// instanceWrite makes sure of the caller and the path.
func (s *Server) instanceWrite(ctx context.Context, call *Call, key mesh.InstanceKey) (registry.Write, error) {
	token, err := s.authenticateWorkload(ctx, call)
	if err != nil {
		return registry.Write{}, err
	}
	if err := instanceKeyFault(key); err != nil {
		return registry.Write{}, err
	}
	call.service = key.Service
	if err := s.cfg.Registry.InstancesRight(ctx, token, key.Service); err != nil {
		return registry.Write{}, err
	}
	return call.write(token)
}

type leaseAnswer struct {
	Body Lease
}

func (s *Server) renewLease(ctx context.Context, in *struct {
	Call
	InstancePath
}) (*leaseAnswer, error) {
	if _, err := s.instanceWrite(ctx, &in.Call, in.key()); err != nil {
		return nil, err
	}
	var renewal Renewal
	if err := in.decode(&renewal); err != nil {
		return nil, err
	}
	if renewal.Epoch == "" {
		return nil, fault("epoch", "is required: the epoch that the registration gave")
	}
	ttl, err := s.cfg.Registry.Renew(ctx, in.key(), renewal.Epoch)
	if err != nil {
		return nil, err
	}
	return &leaseAnswer{Body: Lease{TTL: mesh.Duration(ttl.Round(time.Millisecond))}}, nil
}

type instanceAnswer struct {
	Body mesh.Instance
}

func (s *Server) setHealth(ctx context.Context, in *struct {
	Call
	Repeatable
	InstancePath
}) (*instanceAnswer, error) {
	write, err := s.instanceWrite(ctx, &in.Call, in.key())
	if err != nil {
		return nil, err
	}
	data, err := in.body()
	if err != nil {
		return nil, err
	}
	var change HealthChange
	if err := decode(data, &change); err != nil {
		return nil, err
	}
	if change.Epoch == "" && given(data, "epoch") {
		return nil, emptyEpoch("epoch")
	}
	switch change.Health {
	case mesh.Healthy, mesh.Draining, mesh.Unhealthy:
	default:
		return nil, fault("health", "has to be one of healthy, draining, unhealthy")
	}
	stored, err := s.cfg.Registry.SetHealth(ctx, in.key(), change.Epoch, change.Health, write)
	if err != nil {
		return nil, err
	}
	return &instanceAnswer{Body: stored}, nil
}

func (s *Server) deregister(ctx context.Context, in *struct {
	Call
	Repeatable
	InstancePath
	Epoch string `query:"epoch" maxLength:"64" doc:"As the registration gave it; left out, whichever registration there is."`
}) (*Nothing, error) {
	write, err := s.instanceWrite(ctx, &in.Call, in.key())
	if err != nil {
		return nil, err
	}
	if in.Epoch == "" && in.request.URL.Query().Has("epoch") {
		return nil, emptyEpoch("query.epoch")
	}
	stale := s.keptStale(in.key())
	err = s.cfg.Registry.Deregister(ctx, in.key(), in.Epoch, write)
	if mesh.KindOf(err) == mesh.KindNotFound && stale != nil && in.Epoch == "" {
		_, err = s.cfg.Registry.ConfirmGone(ctx, []mesh.Instance{*stale}, write)
	}
	return &Nothing{}, err
}

func (s *Server) deregisterStale(ctx context.Context, in *struct {
	Call
	ServicePath
}) (*Listed[mesh.Instance], error) {
	token, err := s.authenticateWorkload(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	if err := serviceNameFault(in.Name); err != nil {
		return nil, err
	}
	name := mesh.ServiceName(in.Name)
	in.service = name
	if err := s.cfg.Registry.InstancesRight(ctx, token, name); err != nil {
		return nil, err
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	var stale []mesh.Instance
	for _, one := range s.cfg.Catalog.View().Instances(name) {
		if one.Stale {
			stale = append(stale, *one)
		}
	}
	gone, err := s.cfg.Registry.ConfirmGone(ctx, stale, write)
	if err != nil {
		return nil, err
	}
	return listed(gone, 0), nil
}

// keptStale gives an instance that is kept although its lease has ended, or nil.
func (s *Server) keptStale(key mesh.InstanceKey) *mesh.Instance {
	for _, one := range s.cfg.Catalog.View().Instances(key.Service) {
		if one.ID == key.ID && one.Stale {
			return one
		}
	}
	return nil
}

// emptyEpoch keeps a script's empty variable from reaching every registration.
func emptyEpoch(path string) error {
	return fault(path, "is empty: give the epoch of the registration, or leave it out for whichever there is")
}
