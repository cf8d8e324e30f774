package interceptcli

import (
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Presets are the defaults of the flags here, as their tags name them.
func Presets() kong.Vars {
	return kong.Vars{
		"proxyUID":             strconv.Itoa(intercept.DefaultProxyUser),
		"interceptPort":        strconv.Itoa(int(mesh.DefaultInterceptPort)),
		"interceptInboundPort": strconv.Itoa(int(mesh.DefaultInterceptInboundPort)),
		"tproxyTable":          strconv.Itoa(intercept.DefaultTProxyTable),
		"dnsPort":              strconv.Itoa(int(mesh.DefaultDNSPort)),
	}
}
