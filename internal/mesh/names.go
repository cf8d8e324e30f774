package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ServiceName names a service: a DNS label (RFC 1123, section 2.1), so that it
// can be a host name, a SPIFFE path segment and a Kubernetes object name.
type ServiceName string

// NoBackend is a name that no service may have: a route sends it the share of a backend
// that there is not, which gateways answer with 500.
const NoBackend ServiceName = "no-such-backend-of-a-gateway-api-route"

// InstanceID names an instance among those of its service.
type InstanceID string

// RouteName names a north-south route; a DNS label too.
type RouteName string

// Port is a TCP port, 1 to 65535. It is wider than the wire's 16 bits so that
// a number out of range reaches validation and is named there.
type Port int

const (
	maxLabel      = 63
	maxInstanceID = 128
	maxText       = 1024
)

// labelFault says why s is no DNS label, or "" if it is one.
func labelFault(s string) string {
	switch {
	case s == "":
		return "is required: a DNS label such as \"orders\""
	case len(s) > maxLabel:
		return fmt.Sprintf("has %d characters; a DNS label has at most %d", len(s), maxLabel)
	}
	for i, r := range s {
		if isLowerAlnum(r) || (r == '-' && i != 0 && i != len(s)-1) {
			continue
		}
		return fmt.Sprintf("%s is not a DNS label: use lower-case letters, digits and inner hyphens", quote(s))
	}
	return ""
}

// idFault says why s cannot be an instance ID, or "".
func idFault(s string) string {
	switch {
	case s == "":
		return "is required"
	case len(s) > maxInstanceID:
		return fmt.Sprintf("has %d characters; at most %d are allowed", len(s), maxInstanceID)
	}
	for i, r := range s {
		alnum := isLowerAlnum(r) || r >= 'A' && r <= 'Z'
		if alnum || (i > 0 && strings.ContainsRune("-_.:", r)) {
			continue
		}
		return fmt.Sprintf("%s has a character that is not allowed: use letters, digits, and inner \"-\", \"_\", \".\", \":\"", quote(s))
	}
	return ""
}

// hostFault says why s is neither an IP address nor a host name, or "".
func hostFault(s string) string {
	if s == "" {
		return "is required: an IP address or a host name"
	}
	bad := fmt.Sprintf("%s is not an IP address or host name", quote(s))
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return ""
	}
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	if len(name) > 253 || !utf8.ValidString(name) {
		return bad
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if labelFault(strings.ReplaceAll(label, "_", "-")) != "" {
			return bad
		}
	}
	if isDigits(labels[len(labels)-1]) { // "10.0.0" is a mistyped address, never a name (RFC 3696, section 2)
		return bad
	}
	return ""
}

// authorityFault says why s is not what a Host header holds: a host, with or
// without a port behind it, and an IPv6 address in brackets (RFC 9110, section 7.2).
func authorityFault(s string) string {
	host, port, hasPort := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		inner, rest, closed := strings.Cut(s[1:], "]")
		host, port, hasPort = inner, strings.TrimPrefix(rest, ":"), rest != ""
		if ip, err := netip.ParseAddr(inner); err != nil || !ip.Is6() || !closed || hasPort && rest[0] != ':' {
			return fmt.Sprintf("%s is not an IPv6 address in brackets, such as [2001:db8::1] or [2001:db8::1]:8443", quote(s))
		}
	} else if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
		return fmt.Sprintf("%s needs brackets: [%s]", quote(s), ip.WithZone(""))
	}
	if fault := hostFault(host); fault != "" {
		return fault
	}
	if number, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || number == 0) {
		return fmt.Sprintf("%s ends with %s, which is not a port: use 1 to 65535, or leave it out", quote(s), quote(port))
	}
	return ""
}

// ipFault says why s is not an IP address, or "".
func ipFault(s string) string {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return fmt.Sprintf("%s is not an IP address", quote(s))
	}
	return ""
}

// reachableFault says why no caller can connect to the address, or "". What is
// no address at all is for ipFault to say.
func reachableFault(s string) string {
	if ipFault(s) != "" {
		return ""
	}
	switch ip := netip.MustParseAddr(s).Unmap(); {
	case ip.IsUnspecified():
		return fmt.Sprintf("%s stands for every address of a machine, where one can listen: give the one that callers connect to", quote(s))
	case ip.IsMulticast():
		return fmt.Sprintf("%s is a multicast address: give the one that callers connect to", quote(s))
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Sprintf("%s is the broadcast address: give the one that callers connect to", quote(s))
	}
	return ""
}

func portFault(p Port) string {
	switch {
	case p == 0:
		return "is required: a port from 1 to 65535"
	case p < 0 || p > 65535:
		return fmt.Sprintf("%d is not a port: use 1 to 65535", int(p))
	}
	return ""
}

// textFault says why s cannot be a short human text, or "".
func textFault(s string) string {
	switch {
	case len(s) > maxText:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), maxText)
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }):
		return "has control characters"
	}
	return ""
}

func isLowerAlnum(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// Valid says whether a service could have the name.
func (n ServiceName) Valid() bool { return labelFault(string(n)) == "" }

// HashedLabel makes a DNS label of parts, which may be longer than one. The hash of so many
// hexadecimal digits at its end keeps those apart that read alike, and from names that
// people choose.
func HashedLabel(digits int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	read := strings.ReplaceAll(strings.Join(parts, "-"), ".", "-")
	read = strings.Trim(read[:min(len(read), maxLabel-digits-1)], "-")
	return read + "-" + hex.EncodeToString(sum[:])[:digits]
}

// FitInstanceID is the ID of an instance whose name may be too long for one, as that of a
// pod with its namespace and cluster: a hash takes the place of its end.
func FitInstanceID(name string) InstanceID {
	if len(name) <= maxInstanceID {
		return InstanceID(name)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return InstanceID(fmt.Sprintf("%s-%016x", name[:maxInstanceID-17], h.Sum64()))
}

// PodInstance is the instance that a pod is. The operator registers it by this ID, and the
// pod's sidecar joins the mesh as it.
func PodInstance(pod, namespace, cluster string) InstanceID {
	return FitInstanceID(pod + "." + namespace + "." + cluster)
}
