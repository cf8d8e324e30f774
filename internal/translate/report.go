package translate

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// How reports leave: in batches, soon enough for whoever looks at what was just
// refused. What the control plane does not take Envoy drops.
const (
	reportInterval = time.Second
	reportBuffer   = 32 << 10 // bytes, of each worker
	// stillOpen is how often a connection or a stream that goes on is told again: one
	// may be open for months, and would count as unused.
	stillOpen = 10 * time.Minute
)

const httpCheckFilter, networkCheckFilter = "envoy.filters.http.rbac", "envoy.filters.network.rbac"

// reports have a proxy tell the control plane of calls, by the access log service.
// The logger for TCP is used for HTTP, too: the one for HTTP adds paths, referrers
// and user agents, which are nobody's business.
func (b *builder) reports(name string, only *accesslogv3.AccessLogFilter, tags ...[2]string) []*accesslogv3.AccessLog {
	if !b.trust.Reports {
		return nil
	}
	common := &grpclogv3.CommonGrpcAccessLogConfig{
		LogName:             name,
		TransportApiVersion: corev3.ApiVersion_V3,
		GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: mesh.ControlPlaneCluster},
		}},
		BufferFlushInterval: durationpb.New(reportInterval),
		BufferSizeBytes:     wrapperspb.UInt32(reportBuffer),
	}
	for _, tag := range tags {
		common.CustomTags = append(common.CustomTags, &tracingv3.CustomTag{Tag: tag[0], Type: &tracingv3.CustomTag_Value{Value: tag[1]}})
	}
	return []*accesslogv3.AccessLog{{
		Name:       "envoy.access_loggers.tcp_grpc",
		Filter:     only,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(&grpclogv3.TcpGrpcAccessLogConfig{CommonConfig: common})},
	}}
}

// tagsOfAll are what the control plane has to know of a request beside what is always
// in a report: Envoy's cluster and its flags. Texts from outside are cut.
var tagsOfAll = [...][2]string{
	{mesh.ReportedCode, "%RESPONSE_CODE%"},
	{mesh.ReportedGRPC, "%GRPC_STATUS_NUMBER%"},
	{mesh.ReportedDetails, "%RESPONSE_CODE_DETAILS%"},
	{mesh.ReportedReason, "%RESP(X-HEDDLE-REASON):32%"},
}

// calls are reports of whoever calls: of everything that goes through the proxy.
func (b *builder) calls() []*accesslogv3.AccessLog {
	return b.reports(mesh.CallsReport, nil, append(tagsOfAll[:], [2]string{mesh.ReportedHost, "%REQ(:AUTHORITY):253%"})...)
}

// refusals are reports of whoever is called, of what nobody else can see: that a call
// was refused here, or would have been were the check enforced.
func (b *builder) refusals() []*accesslogv3.AccessLog {
	filter, prefix := networkCheckFilter, "" // Envoy: keys of network filters have a prefix only if told
	refused := []*accesslogv3.AccessLogFilter{cel(`connection.termination_details.startsWith("rbac_access_denied")`)}
	if b.own.Protocol.IsHTTP() {
		filter, prefix = httpCheckFilter, "callers."+string(b.own.Name)+"."
		refused = []*accesslogv3.AccessLogFilter{detailed("rbac_access_denied"), detailed("jwt_authn_access_denied")}
	}
	result := prefix + "shadow_engine_result"
	only := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{
		Filters: append(refused, &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{MetadataFilter: &accesslogv3.MetadataFilter{
			Matcher: &matcherv3.MetadataMatcher{
				Filter: filter, Path: []*matcherv3.MetadataMatcher_PathSegment{{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: result}}},
				Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: exactly("denied")}},
			},
			MatchIfKeyNotFound: wrapperspb.Bool(false),
		}}}),
	}}}
	return b.reports(mesh.RefusalsReport, only, append(tagsOfAll[:], [2]string{mesh.ReportedPeer, "%DOWNSTREAM_PEER_URI_SAN%"})...)
}

// strangers are reports of whoever is called, of calls in plain text: nobody reports
// those unless the caller has a sidecar without an identity.
func (b *builder) strangers() []*accesslogv3.AccessLog {
	return b.reports(mesh.StrangersReport, nil, tagsOfAll[:]...)
}

// reporting has an HTTP manager report.
func reporting(m *hcmv3.HttpConnectionManager, by []*accesslogv3.AccessLog) *hcmv3.HttpConnectionManager {
	if len(by) > 0 {
		m.AccessLog = by
		m.AccessLogOptions = &hcmv3.HttpConnectionManager_HcmAccessLogOptions{AccessLogFlushInterval: durationpb.New(stillOpen)}
	}
	return m
}

// reportingTCP is the same for connections, which are told when they are made, too.
func reportingTCP(p *tcpv3.TcpProxy, by []*accesslogv3.AccessLog) *tcpv3.TcpProxy {
	if len(by) > 0 {
		p.AccessLog = by
		p.AccessLogOptions = &tcpv3.TcpProxy_TcpAccessLogOptions{AccessLogFlushInterval: durationpb.New(stillOpen), FlushAccessLogOnConnected: true}
	}
	return p
}

// atTheEnd keeps another log of a proxy that reports to what has ended.
func (b *builder) atTheEnd(log *accesslogv3.AccessLog) *accesslogv3.AccessLog {
	if b.trust.Reports {
		log.Filter = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_LogTypeFilter{LogTypeFilter: &accesslogv3.LogTypeFilter{
			Types: []datav3.AccessLogType{datav3.AccessLogType_DownstreamEnd, datav3.AccessLogType_TcpConnectionEnd},
		}}}
	}
	return log
}
