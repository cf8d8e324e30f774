package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// outbound is where the workload's application makes its calls.
func (w *workload) outbound() string {
	return "127.0.0.1:" + w.Arguments[slices.Index(w.Arguments, "--outbound-port")+1]
}

// service and instance are what it runs as.
func (w *workload) service() mesh.ServiceName {
	return mesh.ServiceName(w.Arguments[slices.Index(w.Arguments, "--service")+1])
}

func (w *workload) instance() string {
	return w.Arguments[slices.Index(w.Arguments, "--instance")+1]
}

// hosts shows what its Envoy has of a service, for whoever reads of a failure.
func (w *workload) hosts(name mesh.ServiceName) string {
	data, err := w.admin("/clusters")
	if err != nil {
		return err.Error()
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, string(name)+"::") && (strings.Contains(line, "health_flags") || strings.Contains(line, "weight")) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// adminJSON asks its Envoy for something in JSON.
func (w *workload) adminJSON(path string, into any) error {
	data, err := w.admin(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// admin asks its Envoy.
func (w *workload) admin(path string) ([]byte, error) {
	data, err := os.ReadFile(w.Ready)
	if err != nil {
		return nil, err
	}
	var said struct{ Admin string }
	if err := json.Unmarshal(data, &said); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+said.Admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := plainClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// awaitState waits until every Envoy holds what the model does, and the server
// knows that they all accepted everything.
func (c *churn) awaitState() {
	if c.failures.Load() > 0 {
		return
	}
	for _, one := range c.proxies() {
		c.await(fmt.Sprintf("%s/%s to hold what is declared", one.service(), one.instance()), func() error { return c.holds(one) })
	}
	c.await("the server to know it", c.accepted)
}

// proxies are the workloads with an Envoy.
func (c *churn) proxies() workloads {
	all := slices.Clone(c.sides)
	for _, one := range c.callers {
		all = append(all, one.workload)
	}
	return all
}

// accepted says whether all proxies are connected, have acknowledged
// everything, and never refused anything.
func (c *churn) accepted() error {
	list, err := c.server.client.Proxies(context.Background())
	if err != nil {
		return err
	}
	for _, one := range list {
		for _, typed := range one.Types {
			if typed.Rejections > 0 {
				c.fail("%s refused %s: %+v", one.Node, typed.Type, typed.Rejected)
			}
			if typed.Sent != typed.Acknowledged || !typed.BehindSince.IsZero() {
				return fmt.Errorf("%s is behind with %s", one.Node, typed.Type)
			}
		}
	}
	if want := len(c.proxies()); len(list) != want {
		return fmt.Errorf("%d proxies are connected, want %d", len(list), want)
	}
	return nil
}

// holds compares clusters with their endpoints, and routes.
func (c *churn) holds(w *workload) error {
	hosts, err := w.clusters()
	if err != nil {
		return err
	}
	clusters := map[string]map[string]string{}
	for name, list := range hosts {
		clusters[name] = map[string]string{}
		for _, host := range list {
			clusters[name][host.address()] = fmt.Sprint(host.Weight, " ", strings.ToLower(host.Health.EDS))
		}
	}
	routes, err := w.routes()
	if err != nil {
		return err
	}
	wantClusters, wantRoutes := c.expected(w.service())
	if !maps.EqualFunc(clusters, wantClusters, maps.Equal) {
		return fmt.Errorf("clusters are\n%v, want\n%v", clusters, wantClusters)
	}
	if !maps.Equal(routes, wantRoutes) {
		return fmt.Errorf("routes are\n%v, want\n%v", routes, wantRoutes)
	}
	return nil
}

// expected is what the model says of the proxies of a service: the endpoints of
// each cluster, as "weight health" by address, and the routes by host.
func (c *churn) expected(name mesh.ServiceName) (clusters map[string]map[string]string, routes map[string]string) {
	clusters, routes = map[string]map[string]string{}, map[string]string{"undeclared": "answer 400, answer 403"}
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, dependency := range m.services[name].now().Dependencies {
		s := m.services[dependency].now()
		if s == nil {
			routes[string(dependency)] = "answer 503"
			continue
		}
		routes[string(dependency)] = routeSummary(s)
		endpoints := map[string]string{}
		for _, one := range m.registered(dependency, "") {
			endpoints[addressOf(one)] = fmt.Sprint(max(one.Weight, 1), " ", one.Health)
		}
		clusters[string(dependency)] = endpoints
		for _, rule := range s.Routes {
			if rule.Mirror != nil {
				clusters["subset."+string(dependency)+"."+rule.Mirror.Subset] = endpoints
			}
		}
	}
	return clusters, routes
}

// routeSummary writes where a service's rules send requests, in order.
func routeSummary(s *mesh.Service) string {
	var out []string
	complete := false
	for _, rule := range s.Routes {
		var to []string
		for _, one := range rule.To {
			if one.Weight > 0 {
				to = append(to, fmt.Sprint(one.Subset, "*", one.Weight))
			}
		}
		if len(to) == 1 { // the share of one is all, whatever its weight
			to[0], _, _ = strings.Cut(to[0], "*")
		}
		one := strings.Join(to, "+")
		if one == "" {
			one = "all"
		}
		if rule.Mirror != nil {
			one += " copy to subset." + string(s.Name) + "." + rule.Mirror.Subset
		}
		out = append(out, one)
		complete = matchesAll(rule.Match)
	}
	if !complete {
		out = append(out, "all")
	}
	return strings.Join(out, ", ")
}

func matchesAll(m mesh.RequestMatch) bool {
	return (m.Path == nil || m.Path.Prefix == "/") && m.Methods == nil && m.Headers == nil
}

func addressOf(i *mesh.Instance) string { return net.JoinHostPort(i.Address, fmt.Sprint(i.Port)) }

// dumpedHost is a host of /clusters.
type dumpedHost struct {
	Address struct {
		Socket struct {
			Address string `json:"address"`
			Port    int    `json:"port_value"`
		} `json:"socket_address"`
	} `json:"address"`
	Weight int `json:"weight"`
	Health struct {
		EDS   string `json:"eds_health_status"`
		Check bool   `json:"failed_active_health_check"`
	} `json:"health_status"`
}

func (h dumpedHost) address() string {
	return net.JoinHostPort(h.Address.Socket.Address, fmt.Sprint(h.Address.Socket.Port))
}

// clusters gives what Envoy has of the services of this test.
func (w *workload) clusters() (map[string][]dumpedHost, error) {
	var said struct {
		Statuses []struct {
			Name  string       `json:"name"`
			Hosts []dumpedHost `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := w.adminJSON("/clusters?format=json", &said); err != nil {
		return nil, err
	}
	out := map[string][]dumpedHost{}
	for _, one := range said.Statuses {
		if one.Name != "xds_cluster" && !strings.HasPrefix(one.Name, "app.") {
			out[one.Name] = one.Hosts
		}
	}
	return out, nil
}

// foundWell says whether Envoy uses one of these addresses for a service, and
// has nothing else in the making.
func (w *workload) foundWell(name mesh.ServiceName, addresses map[string]bool) error {
	warming, err := w.admin("/stats?filter=^cluster_manager.warming_clusters$")
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(warming)); got != "cluster_manager.warming_clusters: 0" {
		return errors.New(got)
	}
	clusters, err := w.clusters()
	if err != nil {
		return err
	}
	for _, host := range clusters[string(name)] {
		if addresses[host.address()] && !host.Health.Check && host.Health.EDS == "HEALTHY" {
			return nil
		}
	}
	return fmt.Errorf("none of %v is well: %+v", addresses, clusters[string(name)])
}

// dumpedRoute is a route of /config_dump.
type dumpedRoute struct {
	Route *struct {
		Subset   dumpedSubset `json:"metadata_match"`
		Weighted struct {
			Clusters []struct {
				Weight int          `json:"weight"`
				Subset dumpedSubset `json:"metadata_match"`
			} `json:"clusters"`
		} `json:"weighted_clusters"`
		Mirrors []struct {
			Cluster string `json:"cluster"`
		} `json:"request_mirror_policies"`
	} `json:"route"`
	Direct struct {
		Status int `json:"status"`
	} `json:"direct_response"`
}

type dumpedSubset struct {
	Filter struct {
		LB struct {
			Version string `json:"version"`
		} `json:"envoy.lb"`
	} `json:"filter_metadata"`
}

// routes gives a summary of the outbound routes, by host.
func (w *workload) routes() (map[string]string, error) {
	var said struct {
		Configs []struct {
			Route struct {
				Name  string `json:"name"`
				Hosts []struct {
					Name   string        `json:"name"`
					Routes []dumpedRoute `json:"routes"`
				} `json:"virtual_hosts"`
			} `json:"route_config"`
		} `json:"configs"`
	}
	if err := w.adminJSON("/config_dump?resource=dynamic_route_configs", &said); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, one := range said.Configs {
		if !strings.HasPrefix(one.Route.Name, "outbound.") {
			continue
		}
		for _, host := range one.Route.Hosts {
			var routes []string
			for _, route := range host.Routes {
				routes = append(routes, route.summary())
			}
			out[host.Name] = strings.Join(routes, ", ")
		}
	}
	return out, nil
}

func (r dumpedRoute) summary() string {
	if r.Route == nil {
		return fmt.Sprint("answer ", r.Direct.Status)
	}
	one := r.Route.Subset.Filter.LB.Version
	var shares []string
	for _, share := range r.Route.Weighted.Clusters {
		shares = append(shares, fmt.Sprint(share.Subset.Filter.LB.Version, "*", share.Weight))
	}
	if len(shares) > 0 {
		one = strings.Join(shares, "+")
	}
	if one == "" {
		one = "all"
	}
	for _, mirror := range r.Route.Mirrors {
		one += " copy to " + mirror.Cluster
	}
	return one
}
