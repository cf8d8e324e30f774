package grpcapi

import (
	"fmt"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// enum pairs the values of a protocol-buffer enum with the model's names, in the
// order of their numbers; number 0 is "not said".
type enum[P ~int32, M ~string] []M

// The enums. A test holds each to its descriptor.
var (
	protocols      = enum[heddlev1.Protocol, mesh.Protocol]{"", mesh.HTTP, mesh.HTTP2, mesh.GRPC, mesh.TCP}
	discoveries    = enum[heddlev1.DnsDiscovery, mesh.DNSDiscovery]{"", mesh.DNSStrict, mesh.DNSLogical}
	podDiscoveries = enum[heddlev1.KubernetesDiscovery, mesh.KubernetesDiscovery]{"", mesh.KubernetesSlices, mesh.KubernetesDNS}
	vmAddresses    = enum[heddlev1.VmAddress, mesh.VMAddress]{"", mesh.PrivateAddress, mesh.PublicAddress}
	families       = enum[heddlev1.IpFamily, mesh.IPFamily]{"", mesh.IPv4, mesh.IPv6, mesh.IPBoth}
	policies       = enum[heddlev1.Policy, mesh.Policy]{"", mesh.RoundRobin, mesh.LeastRequest, mesh.Random, mesh.RingHash, mesh.Maglev}
	checkTypes     = enum[heddlev1.HealthCheckType, mesh.HealthCheckType]{"", mesh.CheckHTTP, mesh.CheckGRPC, mesh.CheckTCP}
	enforcements   = enum[heddlev1.Enforcement, mesh.Enforcement]{"", mesh.Observe, mesh.Warn, mesh.Deny}
	callerPolicies = enum[heddlev1.CallerPolicy, mesh.CallerPolicy]{"", mesh.OpenCallers, mesh.ApprovedCallers}
	mtlsModes      = enum[heddlev1.Mtls, mesh.MTLS]{"", mesh.Permissive, mesh.Strict}
	tlsVersions    = enum[heddlev1.TlsVersion, string]{"", "1.2", "1.3"}
)

// decode gives the model's name. A number that has none becomes a name that the
// model refuses, with those that it takes.
func (e enum[P, M]) decode(value P) M {
	if value < 0 || int(value) >= len(e) {
		return M(fmt.Sprintf("enum value %d", int32(value)))
	}
	return e[value]
}

// encode gives the number of a name, 0 if it has none.
func (e enum[P, M]) encode(name M) P {
	for i, one := range e {
		if one == name {
			return P(i)
		}
	}
	return 0
}
