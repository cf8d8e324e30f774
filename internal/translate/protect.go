package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// firstByte is how long a permissive listener of a TCP service waits to see
// whether a caller begins with TLS. Where the server speaks first (MySQL, SMTP) a
// caller in plain text says nothing until then.
const firstByte = 200 * time.Millisecond

// proofLife is for how long a connection's certificate is taken as proof of who calls:
// one that was taken away, or ended, is not shown again. What is under way is finished.
const proofLife = time.Hour

// protect has an inbound listener, which takes calls in plain text so far, take
// those of the mesh by mutual TLS, and nothing else if the service is strict. In a
// mesh with identities only callers with a certificate bring tokens; from others
// the header is taken away.
func (b *builder) protect(l *listenerv3.Listener, cluster string) {
	if b.trust.Roots == nil {
		return
	}
	plain := l.GetFilterChains()[0]
	if b.own.Protocol.IsHTTP() {
		plain.Filters = []*listenerv3.Filter{typedFilter(hcmFilter, reporting(withoutToken(inboundHTTP(b.own, cluster)), b.strangers()))}
	} else {
		plain.Filters = []*listenerv3.Filter{typedFilter(tcpFilter, reportingTCP(tcpProxy("inbound", cluster, b.own), b.strangers()))}
	}
	if !b.secure() {
		return
	}
	secured := &listenerv3.FilterChain{Name: "mesh"}
	if b.own.Protocol.IsHTTP() {
		secured.TransportSocket = b.fromPeers([]string{"h2", "http/1.1"})
		secured.Filters = []*listenerv3.Filter{typedFilter(hcmFilter, b.checkedHTTP(cluster))}
	} else {
		secured.TransportSocket = b.fromPeers([]string{meshALPN})
		secured.Filters = []*listenerv3.Filter{b.tcpCheck(), typedFilter(tcpFilter, reportingTCP(tcpProxy("inbound", cluster, b.own), b.refusals()))}
	}
	if b.trust.strict(b.own) {
		l.FilterChains = []*listenerv3.FilterChain{secured}
		return
	}
	plain.Name = "plain"
	secured.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls", ApplicationProtocols: []string{meshALPN}}
	l.FilterChains = []*listenerv3.FilterChain{secured, plain}
	l.ListenerFilters = []*listenerv3.ListenerFilter{{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&tlsinspectorv3.TlsInspector{})},
	}}
	if b.own.Protocol == mesh.TCP {
		l.ListenerFiltersTimeout = durationpb.New(firstByte)
		l.ContinueOnListenerFiltersTimeout = true
	}
}

// checkedHTTP is inboundHTTP for callers of the mesh, who have to be allowed.
func (b *builder) checkedHTTP(cluster string) *hcmv3.HttpConnectionManager {
	m := reporting(inboundHTTP(b.own, cluster), b.refusals())
	if b.view.TokenKeys() == nil { // nobody checks what is in the header
		m = withoutToken(m)
	}
	m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxConnectionDuration: durationpb.New(proofLife)}
	m.Http1SafeMaxConnectionDuration = true // ends with an answer, never under a request
	m.HttpFilters = append(b.checks(), m.GetHttpFilters()...)
	m.LocalReplyConfig.Mappers = append(m.LocalReplyConfig.Mappers, refusedHere(b.own)...)
	return m
}

// withoutToken takes the header away where nobody has checked what is in it, so that
// no application takes that for true.
func withoutToken(m *hcmv3.HttpConnectionManager) *hcmv3.HttpConnectionManager {
	m.GetRouteConfig().RequestHeadersToRemove = []string{tokenHeader}
	return m
}
