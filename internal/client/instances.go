package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// registration is the body of a batch registration.
type registration struct {
	Instances []mesh.Instance `json:"instances"`
	TTL       mesh.Duration   `json:"ttl,omitempty"`
}

// Register registers the instances, all or none. Each gets a lease of ttl (0:
// the server's default), named by the Epoch of the instance that comes back,
// in the same order. An instance that is registered already is replaced, and
// its former epoch is void.
func (c *Client) Register(ctx context.Context, instances []mesh.Instance, ttl time.Duration) ([]mesh.Instance, error) {
	var out page[mesh.Instance]
	err := c.do(ctx, request{method: http.MethodPost, segments: api("instances"), body: registration{Instances: instances, TTL: mesh.Duration(ttl)}}, &out)
	return out.Items, err
}

// Renew renews the lease and gives its length. [mesh.KindNotFound] means that
// it ended: register again. [mesh.KindConflict] means that a newer
// registration has the instance's name.
func (c *Client) Renew(ctx context.Context, key mesh.InstanceKey, epoch string) (time.Duration, error) {
	var out struct {
		TTL mesh.Duration `json:"ttl"`
	}
	body := struct {
		Epoch string `json:"epoch"`
	}{epoch}
	err := c.do(ctx, request{method: http.MethodPut, segments: instancePath(key, "lease"), body: body}, &out)
	return out.TTL.Std(), err
}

// SetHealth sets the instance's health: [mesh.Draining] before it stops,
// [mesh.Healthy] to take that back. epoch "" is an operator's write, whichever
// the registration.
func (c *Client) SetHealth(ctx context.Context, key mesh.InstanceKey, epoch string, health mesh.Health) (mesh.Instance, error) {
	var out mesh.Instance
	body := struct {
		Health mesh.Health `json:"health"`
		Epoch  string      `json:"epoch,omitempty"`
	}{health, epoch}
	err := c.do(ctx, request{method: http.MethodPut, segments: instancePath(key, "health"), body: body}, &out)
	return out, err
}

// Deregister removes the instance. epoch "" is an operator's removal, whichever
// the registration.
func (c *Client) Deregister(ctx context.Context, key mesh.InstanceKey, epoch string) error {
	query := url.Values{}
	if epoch != "" {
		query.Set("epoch", epoch)
	}
	return c.do(ctx, request{method: http.MethodDelete, segments: instancePath(key), query: query}, nil)
}

// DeregisterStale removes the instances of a service that are kept although
// their leases ended, as this server knows them, and gives them.
func (c *Client) DeregisterStale(ctx context.Context, service mesh.ServiceName) ([]mesh.Instance, error) {
	var out page[mesh.Instance]
	err := c.do(ctx, request{method: http.MethodDelete, segments: api("services", string(service), "stale-instances")}, &out)
	return out.Items, err
}

// Instances lists the instances of a service by ID; service "" lists those of all.
func (c *Client) Instances(ctx context.Context, service mesh.ServiceName) ([]mesh.Instance, error) {
	segments := api("instances")
	if service != "" {
		segments = api("services", string(service), "instances")
	}
	var out page[mesh.Instance]
	err := c.do(ctx, request{method: http.MethodGet, segments: segments}, &out)
	return out.Items, err
}

// KeepInstances makes instances the full set that the keeper of a [Client.KeptBy] has
// of a service: what differs is written, what is missing removed. They have no lease.
// [mesh.ReasonTaken]: others have some of the IDs; all others are kept.
func (c *Client) KeepInstances(ctx context.Context, service mesh.ServiceName, instances []mesh.Instance) (mesh.Kept, error) {
	var out mesh.Kept
	body := struct {
		Instances []mesh.Instance `json:"instances"`
	}{instances}
	if instances == nil {
		body.Instances = []mesh.Instance{}
	}
	err := c.do(ctx, request{method: http.MethodPut, segments: api("services", string(service), "instances"), body: body}, &out)
	return out, err
}

// Keepers lists the keepers of instances that a source is noted for.
func (c *Client) Keepers(ctx context.Context) ([]mesh.Keeper, error) {
	var list page[struct {
		Name mesh.Keeper `json:"name"`
	}]
	err := c.do(ctx, request{method: http.MethodGet, segments: api("keepers")}, &list)
	out := make([]mesh.Keeper, len(list.Items))
	for i, one := range list.Items {
		out[i] = one.Name
	}
	return out, err
}

// ChangeKept changes a part of the set of [Client.KeepInstances]. [mesh.ReasonStale]: the
// set was written since change.Base, and the whole set has to be given.
func (c *Client) ChangeKept(ctx context.Context, service mesh.ServiceName, change mesh.KeptChange) (mesh.Kept, error) {
	var out mesh.Kept
	err := c.do(ctx, request{method: http.MethodPatch, segments: api("services", string(service), "instances"), body: change}, &out)
	return out, err
}

// NoteKeeper notes which source the keeper of a cluster belongs to. A keeper that is
// another source's is refused with [mesh.ReasonOtherSource], unless note.Instead
// names it; a source of another keeper with [mesh.ReasonOtherName], unless note.Renamed does.
func (c *Client) NoteKeeper(ctx context.Context, cluster string, note mesh.KeeperSource) error {
	return c.do(ctx, request{method: http.MethodPut, segments: api("keepers", mesh.KubernetesKeeper, cluster), body: note}, nil)
}

func instancePath(key mesh.InstanceKey, more ...string) []string {
	return api(append([]string{"instances", string(key.Service), string(key.ID)}, more...)...)
}
