package proxy

import "github.com/heddle-mesh/heddle/internal/mesh"

// missing says which of its listeners a gateway's Envoy has not been given, or "".
func missing(g *mesh.GatewayProxy, found listeners) string {
	var kind string
	switch {
	case g.HTTPPort != 0 && !found.http.IsValid():
		kind = "HTTP"
	case g.HTTPSPort != 0 && !found.https.IsValid():
		kind = "HTTPS"
	case g.HTTP3 && !found.http3:
		kind = "HTTP/3"
	default:
		return ""
	}
	return "the control plane has not given Envoy the listener for " + kind + ": is it there (--xds)?"
}
