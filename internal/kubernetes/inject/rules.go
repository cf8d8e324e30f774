package inject

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// interception finds what heddle intercept would refuse once the pod is there, where
// nobody could mend it.
func (r *reader) interception(w wish) {
	config := intercept.Config{ProxyUsers: []uint32{uint32(ProxyUID)}, OutboundPort: InterceptPort, InboundPort: InboundPort}
	if w.dns {
		config.DNSPort = DNSPort
	}
	if w.appPort != 0 {
		config.Inbound = []mesh.Port{w.appPort}
	}
	for _, text := range w.excludePorts {
		number, _ := strconv.Atoi(text) // 0, which is no port, if it is no number
		config.ExcludeOutbound = append(config.ExcludeOutbound, mesh.Port(number))
	}
	for _, text := range w.excludeCIDRs {
		one, _ := netip.ParsePrefix(text) // was looked at when it was read
		config.ExcludeOutboundCIDRs = append(config.ExcludeOutboundCIDRs, one)
	}
	for _, fault := range config.Validate() {
		key := AppPortKey
		switch {
		case strings.HasPrefix(fault.Path, "excludeOutboundPorts"):
			key = ExcludeOutboundPortsKey
		case strings.HasPrefix(fault.Path, "excludeOutboundCidrs"):
			key = ExcludeOutboundCIDRsKey
		}
		r.fault(key, "%s", fault.Message)
	}
}
