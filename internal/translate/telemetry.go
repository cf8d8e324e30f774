package translate

import (
	"net/netip"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Telemetry is what all proxies of the mesh tell of their requests to others than
// the control plane. The zero value: nothing.
type Telemetry struct {
	AccessLog string // Stdout, or the path of a file on each proxy's machine; "": none is written
	// Collector is the host (or IP address) that takes spans over gRPC (OTLP), in
	// plain text; "": no spans are made.
	Collector     string
	CollectorPort mesh.Port
	Sample        float64 // share of the requests without a trace that begin one, 0 to 1
}

// Stdout is the standard output of Envoy, as a place for access logs.
const Stdout = "stdout"

// collector is the cluster of what takes spans.
const collector = "heddle.tracing"

// tell has every listener of the proxy write access logs and make spans, as the
// mesh has it. It comes last, so that no way in or out is left out.
func (b *builder) tell() {
	t := b.trust.Telemetry
	if t.AccessLog == "" && t.Collector == "" {
		return
	}
	for _, r := range b.resources {
		if l, is := r.Message.(*listenerv3.Listener); is {
			b.tellOf(l)
		}
	}
	if t.Collector != "" {
		cluster := b.add(TypeCluster, collector, collectorCluster(t), Origin{Object: "the server's settings"})
		if _, err := netip.ParseAddr(t.Collector); err != nil {
			cluster.Settle = settleDNS
		}
	}
}

// tellOf adds to the filters of a listener that end requests or connections.
func (b *builder) tellOf(l *listenerv3.Listener) {
	for _, chain := range l.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			config := filter.GetTypedConfig()
			switch {
			case config.MessageIs(&hcmv3.HttpConnectionManager{}):
				m := &hcmv3.HttpConnectionManager{}
				if unpack(config, m) {
					b.tellOfHTTP(m, l.GetTrafficDirection())
					filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)}
				}
			case config.MessageIs(&tcpv3.TcpProxy{}) && b.trust.Telemetry.AccessLog != "":
				m := &tcpv3.TcpProxy{}
				if unpack(config, m) {
					m.AccessLog = append(m.AccessLog, b.atTheEnd(b.accessLog(tcpFields(), l.GetTrafficDirection())))
					filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)}
				}
			}
		}
	}
}

func unpack(from *anypb.Any, into proto.Message) bool { return from.UnmarshalTo(into) == nil }

func (b *builder) tellOfHTTP(m *hcmv3.HttpConnectionManager, direction corev3.TrafficDirection) {
	t := b.trust.Telemetry
	if t.AccessLog != "" {
		m.AccessLog = append(m.AccessLog, b.atTheEnd(b.accessLog(httpFields(), direction)))
	}
	if t.Collector == "" {
		return
	}
	m.Tracing = &hcmv3.HttpConnectionManager_Tracing{
		// Nobody can have a request traced by a header of Envoy's own.
		ClientSampling: &typev3.Percent{Value: 0},
		RandomSampling: &typev3.Percent{Value: t.Sample * 100},
		Provider: &tracev3.Tracing_Http{
			Name: "envoy.tracers.opentelemetry",
			ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: pack(&tracev3.OpenTelemetryConfig{
				GrpcService: &corev3.GrpcService{
					TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: collector}},
					Timeout:         durationpb.New(defaultConnectTimeout),
				},
				ServiceName: b.teller(),
			})},
		},
	}
	if at := b.scope.Proxy.Gateway; at != nil && at.TrustedHops == 0 {
		// Strangers do not decide what is traced, nor which traces requests belong to.
		m.EarlyHeaderMutationExtensions = append(m.EarlyHeaderMutationExtensions, &corev3.TypedExtensionConfig{
			Name: "envoy.http.early_header_mutation.header_mutation",
			TypedConfig: pack(&earlyv3.HeaderMutation{Mutations: []*mutationv3.HeaderMutation{
				removed("traceparent"), removed("tracestate"),
			}}),
		})
	}
}

func removed(header string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: header}}
}

// teller names the proxy's service, or its gateway.
func (b *builder) teller() string {
	if b.scope.Proxy.Profile == mesh.GatewayProfile {
		return "gateway/" + string(b.scope.Service)
	}
	return string(b.scope.Service)
}

// accessLog writes one line of JSON for each request or connection that ended.
// What there is nothing to say of is left out.
func (b *builder) accessLog(fields map[string]*structpb.Value, direction corev3.TrafficDirection) *accesslogv3.AccessLog {
	fields["service"] = structpb.NewStringValue(b.teller())
	fields["direction"] = structpb.NewStringValue("inbound")
	if direction == corev3.TrafficDirection_OUTBOUND {
		fields["direction"] = structpb.NewStringValue("outbound")
	}
	format := &corev3.SubstitutionFormatString{
		Format:          &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}},
		OmitEmptyValues: true,
	}
	if b.trust.Telemetry.AccessLog == Stdout {
		return &accesslogv3.AccessLog{
			Name: "envoy.access_loggers.stdout",
			ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(&streamv3.StdoutAccessLog{
				AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: format},
			})},
		}
	}
	return &accesslogv3.AccessLog{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(&filev3.FileAccessLog{
			Path:            b.trust.Telemetry.AccessLog,
			AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: format},
		})},
	}
}

// httpFields are those of a request; docs/observability.md says what each is. The
// query stays out: tokens get into it by mistake.
func httpFields() map[string]*structpb.Value {
	fields := tcpFields()
	for name, value := range map[string]string{
		"method": "%REQ(:METHOD)%", "host": "%REQ(:AUTHORITY)%", "path": "%PATH(NQ:ORIG_OR_PATH)%", "protocol": "%PROTOCOL%",
		"status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%", "reason": "%RESP(X-HEDDLE-REASON)%",
		"attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "requestId": "%REQ(X-REQUEST-ID)%", "traceId": "%TRACE_ID%",
	} {
		fields[name] = structpb.NewStringValue(value)
	}
	return fields
}

// tcpFields are those of a connection, which requests have too.
func tcpFields() map[string]*structpb.Value {
	fields := map[string]*structpb.Value{}
	for name, value := range map[string]string{
		"time": "%START_TIME%", "flags": "%RESPONSE_FLAGS%", "bytesIn": "%BYTES_RECEIVED%", "bytesOut": "%BYTES_SENT%", "durationMs": "%DURATION%",
		"remote": "%DOWNSTREAM_REMOTE_ADDRESS%", "peer": "%DOWNSTREAM_PEER_URI_SAN%",
		"cluster": "%UPSTREAM_CLUSTER%", "upstream": "%UPSTREAM_HOST%", "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
	} {
		fields[name] = structpb.NewStringValue(value)
	}
	return fields
}

// collectorCluster is where spans go. When nobody takes them they are dropped.
func collectorCluster(t Telemetry) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:           collector,
		ConnectTimeout: durationpb.New(defaultConnectTimeout),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: collector, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: socket(t.Collector, t.CollectorPort)},
			}}},
		}}},
		TypedExtensionProtocolOptions: protocolOptions(mesh.GRPC, idleToOutside, nil),
	}
	if _, err := netip.ParseAddr(t.Collector); err == nil {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		return c
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.clusters.dns", TypedConfig: pack(&dnsv3.DnsCluster{
			DnsLookupFamily: dnscommonv3.DnsLookupFamily_ALL, DnsRefreshRate: durationpb.New(refreshDNS), RespectDnsTtl: true,
		}),
	}}
	return c
}
