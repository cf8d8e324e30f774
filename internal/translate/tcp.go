package translate

import (
	"time"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const tcpFilter = "envoy.filters.network.tcp_proxy"

// defaultTCPIdle ends a TCP connection without a byte, unless the service declares another.
const defaultTCPIdle = time.Hour

// tcpProxy passes the bytes of a connection on.
func tcpProxy(statPrefix, cluster string, s *mesh.Service) *tcpv3.TcpProxy {
	attempts := 1 + defaultAttempts
	if s.Traffic.Retries != nil {
		attempts = 1 + max(s.Traffic.Retries.Attempts, 0)
	}
	return &tcpv3.TcpProxy{
		StatPrefix:       statPrefix,
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster},
		IdleTimeout:      or(s.Traffic.IdleTimeout, defaultTCPIdle),
		// A connection that was never made lost nothing, so another instance is tried.
		MaxConnectAttempts: wrapperspb.UInt32(uint32(attempts)),
		HashPolicy:         tcpHashPolicy(s.Traffic.LoadBalancing),
	}
}
