package insight

import (
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// resources are what one scope is sent, by type and name.
type resources struct {
	all      map[string]map[string]translate.Resource
	problems []translate.Problem
}

func index(list []translate.Resource, problems []translate.Problem) *resources {
	out := &resources{all: map[string]map[string]translate.Resource{}, problems: problems}
	for _, one := range list {
		if out.all[one.Type] == nil {
			out.all[one.Type] = map[string]translate.Resource{}
		}
		out.all[one.Type][one.Name] = one
	}
	return out
}

// find gives a resource, nil if there is none; M has to be of the type.
func find[M proto.Message](r *resources, typeURL, name string) (message M, origin translate.Origin, is bool) {
	one, there := r.all[typeURL][name]
	if !there {
		return message, origin, false
	}
	message, is = one.Message.(M)
	return message, one.Origin, is
}

// evidence names a resource, with the declaration that it follows from.
func (r *resources) evidence(typeURL, name, says string) mesh.ExplainedEvidence {
	origin := r.all[typeURL][name].Origin
	return mesh.ExplainedEvidence{Object: origin.Object, Revision: origin.Revision, Author: origin.Author, Resource: shortType(typeURL) + " " + name, Says: says}
}

// shortType is a type URL's last word.
func shortType(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '.')+1:] }

// routesBehind is the name of the routes that a listener asks for.
func routesBehind(l *listenerv3.Listener) string {
	if library := l.GetApiListener().GetApiListener(); library != nil { // gRFC A27
		manager := &hcmv3.HttpConnectionManager{}
		if library.UnmarshalTo(manager) == nil {
			return manager.GetRds().GetRouteConfigName()
		}
	}
	for _, chain := range l.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			manager := &hcmv3.HttpConnectionManager{}
			if filter.GetTypedConfig().UnmarshalTo(manager) == nil {
				return manager.GetRds().GetRouteConfigName()
			}
		}
	}
	return ""
}

// clusterBehind is the cluster that a TCP listener sends connections to.
func clusterBehind(l *listenerv3.Listener) string {
	for _, chain := range l.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			tcp := &tcpv3.TcpProxy{}
			if filter.GetTypedConfig().UnmarshalTo(tcp) == nil {
				return tcp.GetCluster()
			}
		}
	}
	return ""
}

// way is where a request goes, by what its caller's proxy is sent.
type way struct {
	listener string // its name; empty: there is none
	address  string // where the caller asks
	routes   string // the name of the route configuration
	host     *routev3.VirtualHost
	route    *routev3.Route
	targets  []target // nil: the proxy answers itself
}

// target is a cluster that gets a share of the requests.
type target struct {
	cluster *clusterv3.Cluster
	name    string
	weight  uint32
	subset  map[string]string // the labels that an endpoint must have; nil: any
	healthy int
	mtls    int // of the healthy ones, how many take mutual TLS
	all     int
}

// find goes the way of the request through what the caller's scope is sent.
func (i *inquiry) find() way {
	w := way{listener: "outbound." + i.scope.Name()}
	if i.gateway != "" {
		w.listener = i.out.Request.Scheme + "." + i.scope.Name()
	}
	if i.tcp() {
		w.listener = "own." + string(i.out.To) + "." + i.scope.Name()
	}
	if i.proxyless() {
		w.listener = string(i.out.To)
	}
	l, _, there := find[*listenerv3.Listener](i.sent, translate.TypeListener, w.listener)
	if !there {
		w.listener = ""
		return w
	}
	w.address = addressOf(l.GetAddress())
	if i.tcp() {
		w.targets = []target{i.target(clusterBehind(l), 1, nil)}
		return w
	}
	w.routes = routesBehind(l)
	config, _, there := find[*routev3.RouteConfiguration](i.sent, translate.TypeRoute, w.routes)
	if !there {
		return w
	}
	asked := requestOf(i.out.Request, i.gateway != "")
	if w.host = virtualHost(config, asked.host); w.host == nil {
		return w
	}
	w.route = routeFor(w.host, &asked)
	action := w.route.GetRoute()
	switch to := action.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		w.targets = []target{i.target(to.Cluster, 1, action.GetMetadataMatch())}
	case *routev3.RouteAction_WeightedClusters:
		for _, one := range to.WeightedClusters.GetClusters() {
			w.targets = append(w.targets, i.target(one.GetName(), one.GetWeight().GetValue(), one.GetMetadataMatch()))
		}
	}
	return w
}

// target counts the endpoints of a cluster that requests may go to.
func (i *inquiry) target(name string, weight uint32, match *corev3.Metadata) target {
	t := target{name: name, weight: weight}
	t.cluster, _, _ = find[*clusterv3.Cluster](i.sent, translate.TypeCluster, name)
	if labels := match.GetFilterMetadata()["envoy.lb"].GetFields(); len(labels) > 0 {
		t.subset = map[string]string{}
		for key, value := range labels {
			t.subset[key] = value.GetStringValue()
		}
	}
	load := t.cluster.GetLoadAssignment()
	if eds := t.cluster.GetEdsClusterConfig(); eds != nil {
		service := eds.GetServiceName()
		if service == "" {
			service = name
		}
		load, _, _ = find[*endpointv3.ClusterLoadAssignment](i.sent, translate.TypeEndpoint, service)
	}
	for _, group := range load.GetEndpoints() {
		for _, one := range group.GetLbEndpoints() {
			if !t.has(one) {
				continue
			}
			t.all++
			// That its locality has no weight stops nothing: with nobody elsewhere,
			// Envoy goes to all of them.
			if one.GetHealthStatus() != corev3.HealthStatus_UNKNOWN {
				continue
			}
			t.healthy++
			if one.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"].GetFields()["mtls"].GetBoolValue() {
				t.mtls++
			}
		}
	}
	return t
}

// has says whether an endpoint is in the subset.
func (t *target) has(one *endpointv3.LbEndpoint) bool {
	labels := one.GetMetadata().GetFilterMetadata()["envoy.lb"].GetFields()
	for key, value := range t.subset {
		if got, is := labels[key]; !is || got.GetStringValue() != value {
			return false
		}
	}
	return true
}

// resolved says whether the proxies find the endpoints by themselves.
func (t *target) resolved() bool {
	switch t.cluster.GetType() {
	case clusterv3.Cluster_STRICT_DNS, clusterv3.Cluster_LOGICAL_DNS:
		return true
	}
	return t.cluster.GetClusterType() != nil
}

// service is the service behind a cluster.
func (t *target) service() mesh.ServiceName {
	name := strings.TrimPrefix(strings.TrimPrefix(t.name, "plain."), "push.")
	name = strings.TrimPrefix(name, "proxyless.")
	return mesh.ServiceName(name)
}
