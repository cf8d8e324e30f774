package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hosts are the names that clients may call the server by, in lower case.
type hosts map[string]bool

// newHosts takes the names in; none of them is a secret or a pattern.
func newHosts(names []string) (hosts, error) {
	known := hosts{"localhost": true}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name == "" || strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
		}) {
			return nil, fmt.Errorf("the host name %q is not one that a Host header can have: give the bare name, without scheme, port or wildcard", name)
		}
		known[name] = true
	}
	return known, nil
}

// allow refuses requests that mean another server. Reading needs no token, so
// without it a page from anywhere could have its own name resolve to this
// server's address (DNS rebinding), and read the mesh through the browser of
// whoever looks at it. A page cannot do that with an address, nor with a name
// that its author does not own. Programs that send no Host are no browsers.
func (h hosts) allow(r *http.Request) *refusal {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil || name == "" {
		return nil
	}
	if h[strings.ToLower(strings.TrimSuffix(name, "."))] {
		return nil
	}
	return newProblem(http.StatusMisdirectedRequest, fmt.Sprintf(
		"this server is not known as \"%s\": call it by its IP address or as localhost, or start it with --host and this name", shown(name)))
}
