package translate

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// edgeBuffer bounds what one connection from outside may keep in memory, in bytes.
const edgeBuffer = 32 << 10

// listeners makes those of the gateway, and the routes behind them.
func (g *gateway) listeners() {
	at := g.scope.Proxy.Gateway
	address := orAddress(at.ListenAddress, mesh.DefaultInboundAddress)
	secure := at.HTTPSPort != 0
	if at.HTTPPort != 0 {
		g.listener(mesh.PlainHTTP, place{address, at.HTTPPort}, nil, !secure)
	}
	if !secure {
		return
	}
	g.listener(mesh.HTTPS, place{address, at.HTTPSPort}, tlsSocket(g.tls("h2", "http/1.1")), true)
	if at.HTTP3 {
		g.http3(place{address, at.HTTPSPort})
	}
}

// listener makes one for HTTP/1 and HTTP/2. all serves all routes on it, rather
// than to send those that want TLS elsewhere.
func (g *gateway) listener(kind mesh.Scheme, at place, secured *corev3.TransportSocket, all bool) {
	name := string(kind) + "." + g.scope.Name()
	m := withRoutes(g.edgeManager(string(kind)), name)
	l := listenerAt(name, at, corev3.TrafficDirection_INBOUND, hcmFilter, m)
	l.FilterChains[0].TransportSocket = secured
	l.PerConnectionBufferLimitBytes = wrapperspb.UInt32(edgeBuffer)
	g.add(TypeListener, name, l, Origin{Object: "gateway/" + string(g.name)})

	table := g.routeTable(name, kind, all)
	if secured != nil && g.scope.Proxy.Gateway.HTTP3 {
		table.ResponseHeadersToAdd = append(table.ResponseHeadersToAdd, g.altSvc())
	}
	g.add(TypeRoute, name, table, g.origin())
}

// http3 makes the listener for QUIC, with the routes of HTTPS.
func (g *gateway) http3(at place) {
	name := "http3." + g.scope.Name()
	m := withRoutes(g.edgeManager("http3"), "https."+g.scope.Name())
	m.CodecType = hcmv3.HttpConnectionManager_HTTP3
	m.Http3ProtocolOptions = &corev3.Http3ProtocolOptions{}
	l := listenerAt(name, at, corev3.TrafficDirection_INBOUND, hcmFilter, m)
	l.Address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	l.EnableReusePort = wrapperspb.Bool(true) // each worker needs a socket of its own: packets belong to connections
	l.PerConnectionBufferLimitBytes = wrapperspb.UInt32(edgeBuffer)
	l.UdpListenerConfig = &listenerv3.UdpListenerConfig{QuicOptions: &listenerv3.QuicProtocolOptions{}}
	l.FilterChains[0].TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.quic",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(proto.Message(&quicv3.QuicDownstreamTransport{
			DownstreamTlsContext: g.tls("h3"),
		}))},
	}
	g.add(TypeListener, name, l, Origin{Object: "gateway/" + string(g.name)})
}

// tls has Envoy choose among the gateway's certificates by the name that the
// client asks for; the first is for those that ask for none. The keys are not
// the control plane's to know: Envoy reads them from files beside it, which heddle
// proxy writes and renews.
func (g *gateway) tls(protocols ...string) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{
		AlpnProtocols: protocols,
		TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
	}
	for i := range g.scope.Proxy.Gateway.Certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, &tlsv3.SdsSecretConfig{
			Name: mesh.CertificateName(i),
			SdsConfig: &corev3.ConfigSource{
				ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
					Path: mesh.CertificateFolder + "/" + strconv.Itoa(i) + ".json",
				}},
				ResourceApiVersion: corev3.ApiVersion_V3,
			},
		})
	}
	return &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
}
