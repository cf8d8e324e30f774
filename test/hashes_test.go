package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// TestAnEnvoyHoldsTheModelsHashes: what a real Envoy has in force is, resource by
// resource, what the declarations come to; and a change makes it another.
func TestAnEnvoyHoldsTheModelsHashes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("orders", mesh.HTTP), service("stock", mesh.TCP), service("web", mesh.HTTP, "orders", "stock"))
	s.register("orders", "a", app(t, says("from a")))
	var sides []*sidecar
	for _, mode := range []proxy.XDSMode{proxy.Delta, proxy.SotW} {
		sides = append(sides, startSidecar(t, s, "web", string(mode), "", mode, "stock"))
	}
	hashes(t, s, sides)
	before, err := held(t, sides[0])
	if err != nil {
		t.Fatal(err)
	}
	changed := service("orders", mesh.HTTP)
	changed.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/a"}}}}
	s.declare(changed)
	s.register("orders", "b", app(t, says("from b")))
	hashes(t, s, sides)
	after, err := held(t, sides[0])
	if err != nil {
		t.Fatal(err)
	}
	if route := translate.TypeRoute + " outbound.web"; before[route] == after[route] || maps.Equal(before, after) {
		t.Errorf("a changed declaration left what Envoy holds as it was: %v", after)
	}
}

// hashes waits until each Envoy holds exactly what the model, as a server knows
// it, comes to: for clusters, listeners and routes the hash of what Envoy shows to
// be in force, for endpoints their addresses.
func hashes(t *testing.T, s *server, sides []*sidecar) {
	t.Helper()
	for _, side := range sides {
		heddletest.Eventually(t, "Envoy to hold what the model says", func() error {
			want, err := modelled(t, s.client, side.profile)
			if err != nil {
				return err
			}
			got, err := held(t, side)
			if err != nil {
				return err
			}
			if maps.Equal(got, want) {
				return nil
			}
			var differ []string
			for name := range want {
				if got[name] != want[name] {
					differ = append(differ, fmt.Sprintf("%s is %q, want %q", name, got[name], want[name]))
				}
			}
			for name := range got {
				if _, wanted := want[name]; !wanted {
					differ = append(differ, name+" should not be there")
				}
			}
			slices.Sort(differ)
			return fmt.Errorf("%s: %v", side.profile.Instance, differ)
		})
	}
}

// modelled translates the whole mesh anew for one proxy.
func modelled(t *testing.T, api *client.Client, profile mesh.Proxy) (map[string]string, error) {
	services, err := api.Services(t.Context())
	if err != nil {
		return nil, err
	}
	var all []mesh.Change
	for _, one := range services {
		all = append(all, mesh.Change{Service: &one.Service})
		instances, err := api.Instances(t.Context(), one.Name)
		if err != nil {
			return nil, err
		}
		for _, instance := range instances {
			all = append(all, mesh.Change{Instance: &instance})
		}
	}
	c := catalog.New(catalog.Config{})
	c.Apply(1, true, all)
	resources, _ := translate.Build(c.View(), translate.ScopeOf(profile), translate.Trust{Reports: true})
	out := map[string]string{}
	for _, r := range resources {
		switch m := r.Message.(type) {
		case *endpointv3.ClusterLoadAssignment:
			var addresses []string
			for _, locality := range m.GetEndpoints() {
				for _, one := range locality.GetLbEndpoints() {
					a := one.GetEndpoint().GetAddress().GetSocketAddress()
					addresses = append(addresses, net.JoinHostPort(a.GetAddress(), strconv.Itoa(int(a.GetPortValue()))))
				}
			}
			out[r.Type+" "+r.Name] = sorted(addresses)
		default:
			if r.Type == translate.TypeRuntime {
				continue // Envoy shows values, not the resource
			}
			encoded, err := xds.NewResource(r.Type, r.Name, r.Message, xds.Origin{})
			if err != nil {
				return nil, err
			}
			out[r.Type+" "+r.Name] = encoded.Version
		}
	}
	return out, nil
}

func sorted(addresses []string) string {
	slices.Sort(addresses)
	return fmt.Sprint(addresses)
}

// held encodes what an Envoy has in force, and hashes it as the server does.
func held(t *testing.T, side *sidecar) (map[string]string, error) {
	var dump struct {
		Configs []struct {
			Clusters  []inForce `json:"dynamic_active_clusters"`
			Warming   []inForce `json:"dynamic_warming_clusters"`
			Listeners []struct {
				Name    string  `json:"name"`
				Active  inForce `json:"active_state"`
				Warming inForce `json:"warming_state"`
			} `json:"dynamic_listeners"`
			Routes []inForce `json:"dynamic_route_configs"`
		}
	}
	if err := json.Unmarshal([]byte(side.Get(t, "/config_dump")), &dump); err != nil {
		return nil, err
	}
	out := map[string]string{}
	var faults []error
	add := func(raw json.RawMessage) {
		hash, err := hashOf(raw)
		if err != nil {
			faults = append(faults, err)
			return
		}
		out[hash.Type+" "+hash.Name] = hash.Version
	}
	for _, config := range dump.Configs {
		if len(config.Warming) > 0 {
			return nil, errors.New("a cluster is warming")
		}
		for _, one := range config.Clusters {
			add(one.Cluster)
		}
		for _, one := range config.Listeners {
			if one.Warming.Listener != nil {
				return nil, errors.New("a listener is warming")
			}
			add(one.Active.Listener)
		}
		for _, one := range config.Routes {
			add(one.Route)
		}
	}
	var clusters struct {
		Statuses []struct {
			Name    string `json:"name"`
			Service string `json:"eds_service_name"`
			Dynamic bool   `json:"added_via_api"`
			Hosts   []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal([]byte(side.Get(t, "/clusters?format=json")), &clusters); err != nil {
		return nil, err
	}
	for _, one := range clusters.Statuses {
		if !one.Dynamic {
			continue
		}
		var addresses []string
		for _, host := range one.Hosts {
			addresses = append(addresses, net.JoinHostPort(host.Address.Socket.Address, strconv.Itoa(host.Address.Socket.Port)))
		}
		name := one.Name
		if one.Service != "" {
			name = one.Service
		}
		out[translate.TypeEndpoint+" "+name] = sorted(addresses)
	}
	return out, errors.Join(faults...)
}

// inForce is one resource in a dump of Envoy's configuration.
type inForce struct {
	Cluster  json.RawMessage `json:"cluster"`
	Listener json.RawMessage `json:"listener"`
	Route    json.RawMessage `json:"route_config"`
}

func hashOf(raw json.RawMessage) (*xds.Resource, error) {
	var envelope anypb.Any
	if err := protojson.Unmarshal(raw, &envelope); err != nil {
		return nil, fmt.Errorf("read %s: %w", raw, err)
	}
	m, err := envelope.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	named, is := m.(interface{ GetName() string })
	if !is {
		return nil, fmt.Errorf("%s has no name", envelope.GetTypeUrl())
	}
	return xds.NewResource(envelope.GetTypeUrl(), named.GetName(), m, xds.Origin{})
}
