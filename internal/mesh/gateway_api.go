package mesh

import "strings"

// gatewayDigits is how much of a hash the name of a Gateway's gateway ends with: nobody finds
// a Gateway of their own that is called as another one.
const gatewayDigits = 24

// GatewayOf is the Gateway of a Kubernetes cluster's Gateway API that a gateway is:
// CLUSTER/NAMESPACE/NAME.
type GatewayOf string

// Parts are those of a name that such a Gateway can have. Of what no cluster has nothing is
// made: a name with padding would be another Gateway's in all but the hash.
func (g GatewayOf) Parts() (cluster, namespace, name string, ok bool) {
	parts := strings.Split(string(g), "/")
	if len(parts) != 3 || labelFault(parts[0]) != "" || labelFault(parts[1]) != "" || !isSubdomain(parts[2]) {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// isSubdomain says whether an object of Kubernetes can have the name: DNS labels of any
// length, joined by dots (RFC 1123).
func isSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "-") != label || strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !isLowerAlnum(r) }) {
			return false
		}
	}
	return true
}

// GatewayAPIGateway names the gateway that a Gateway of the Gateway API is in the mesh.
func GatewayAPIGateway(cluster, namespace, name string) ServiceName {
	return ServiceName(HashedLabel(gatewayDigits, "gateway", cluster, namespace, name))
}

// OfGatewayAPI says whether a gateway has a name such as those of the Gateway API have:
// whoever made it, it is treated as one of them.
func OfGatewayAPI(gateway ServiceName) bool {
	rest, is := strings.CutPrefix(string(gateway), "gateway-")
	cut := strings.LastIndexByte(rest, '-')
	if !is || cut <= 0 || len(rest)-cut-1 != gatewayDigits {
		return false
	}
	return strings.Trim(rest[cut+1:], "0123456789abcdef") == ""
}
