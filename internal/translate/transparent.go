package translate

import (
	"fmt"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// passthrough is the cluster of what is outside the mesh; no service has a name with a dot.
const passthrough = "outside.passthrough"

// strangerIdle ends a connection to a name of the mesh that has no listener, once
// nothing is under way: a client that waits for the server's first word would wait
// for good.
const strangerIdle = 10 * time.Second

// transparent makes the listener to which the application's connections are
// redirected. Envoy hands each to the virtual listener of the address that it was
// for. What is left is for the mesh, where no such dependency is, or for the outside.
func (b *builder) transparent() {
	if !b.transparentOpen {
		return
	}
	at, origin := b.transparentPlace(), originOf(b.own)
	name := "transparent." + b.scope.Name()
	l := listenerAt(name, at, corev3.TrafficDirection_OUTBOUND, hcmFilter, b.stray())
	l.UseOriginalDst = wrapperspb.Bool(true)
	if b.scope.Proxy.Intercept.IPv6 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socket(netip.IPv6Loopback().String(), at.port)}}
	}
	if b.scope.Proxy.Intercept.Outside != mesh.DenyOutside {
		stray := l.GetFilterChains()[0]
		stray.Name = "mesh"
		stray.FilterChainMatch = &listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{cidr(mesh.VirtualNetwork())}}
		l.FilterChains = append(l.FilterChains, itself(at))
		l.DefaultFilterChain = &listenerv3.FilterChain{Name: "outside", Filters: []*listenerv3.Filter{typedFilter(tcpFilter, &tcpv3.TcpProxy{
			StatPrefix:       "outside",
			ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: passthrough},
			IdleTimeout:      durationpb.New(defaultTCPIdle),
		})}}
		b.add(TypeCluster, passthrough, passthroughCluster(), origin)
	}
	b.add(TypeListener, name, l, origin)
}

func (b *builder) transparentPlace() place {
	at := place{mesh.DefaultLoopback, b.scope.Proxy.Intercept.Port}
	if at.port == 0 {
		at.port = mesh.DefaultInterceptPort
	}
	return at
}

// stray takes connections to names of the mesh that no listener has: undeclared, or
// asked for at another port. Requests are routed by host, as on the outbound
// listener, which refuses what is undeclared and says so. Anything else is closed.
func (b *builder) stray() *hcmv3.HttpConnectionManager {
	m := b.byHost("transparent")
	m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(strangerIdle)}
	m.RequestHeadersTimeout = durationpb.New(strangerIdle)
	return m
}

// itself refuses connections that name the listener itself, which were not
// redirected: passed on, they would come in here again, for ever.
func itself(at place) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{
		Name: "itself",
		FilterChainMatch: &listenerv3.FilterChainMatch{
			DestinationPort: wrapperspb.UInt32(uint32(at.port)),
			PrefixRanges:    []*corev3.CidrRange{cidr(netip.MustParsePrefix("127.0.0.0/8")), cidr(netip.MustParsePrefix("::1/128"))},
		},
	}
}

func cidr(p netip.Prefix) *corev3.CidrRange {
	return &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits()))}
}

// passthroughCluster connects to where the application wanted to.
func passthroughCluster() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 passthrough,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:       durationpb.New(outsideConnectTimeout),
		CircuitBreakers:      unlimited(),
	}
}

// outsideConnectTimeout is what the application would have had, about: it gives up by itself.
const outsideConnectTimeout = 30 * time.Second

// virtualListener makes the listener at the address that the dependency's name
// has. Nothing is bound: what is redirected is handed to it.
func (b *builder) virtualListener(s *mesh.Service) bool {
	if !b.transparentOpen {
		return false
	}
	at := place{mesh.VirtualAddress(s.Name).String(), s.Port}
	if holder, free := b.virtual.take(at, string(s.Name)+"."+mesh.Domain); !free {
		b.problem(b.own.Name, fmt.Sprintf("the name \"%s.mesh\" leads nowhere on port %d: it has the address of \"%s\", by chance, on the same port; rename one of the two services, or call %q on a port of its own (--dependency-port %s=PORT)", s.Name, s.Port, holder, s.Name, s.Name))
		return false
	}
	name := "virtual." + string(s.Name) + "." + b.scope.Name()
	l := b.listenerTo(name, at, s)
	l.BindToPort, l.EnableReusePort = wrapperspb.Bool(false), nil
	b.add(TypeListener, name, l, originOf(s))
	return true
}
