package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// edge is the gateway's name, and gatewayHost the one that the shop has outside:
	// one that every machine knows.
	edge        = "edge"
	gatewayHost = "localhost"
)

// gateway is `heddle proxy --gateway`: the way into the shop from outside, for
// users who prove who they are.
type gateway struct {
	port    int
	files   certificateFiles
	user    string // file with the header that has ada's token, for curl -H @FILE
	front   *front // with that header
	process *stage.Process
}

func (g *gateway) url(path string) string {
	return "https://" + net.JoinHostPort(gatewayHost, strconv.Itoa(g.port)) + path
}

// shopRoute lets the team's users into the shop.
func shopRoute() mesh.Route {
	return mesh.Route{
		Name: "shop", Owner: "team-shop", Hosts: []string{gatewayHost}, Gateways: []mesh.ServiceName{edge},
		Auth:     &mesh.RouteAuth{Provider: provider, Audience: shopTag},
		Backends: []mesh.WeightedBackend{{Service: shop.Web, Weight: 1}},
	}
}

// startGateway runs the gateway, and returns when it serves.
func (t *town) startGateway(ctx context.Context) error {
	g, err := t.newGateway()
	if err != nil {
		return err
	}
	t.gateway = g
	join, err := t.joinToken(ctx, mesh.Identity{Kind: mesh.GatewayIdentity, Name: edge}, 1)
	if err != nil {
		return err
	}
	ready := filepath.Join(t.folder, "gateway-ready.json")
	_ = os.Remove(ready) // of a demo that had the same folder; a failure shows when it is read
	g.process, err = t.launch.Start("gateway", t.config.Heddle, "proxy", "--gateway", edge, "--instance", "edge-1",
		"--server", t.plane.tlsURL(), "--xds", t.plane.xdsTLS, "--identity-dir", t.identityFolder("gateway"), "--join-token-file", join,
		"--envoy", t.config.Envoy, "--ready-file", ready, "--listen-address", loopback, "--http-port", "0", "--https-port", strconv.Itoa(g.port),
		"--tls-cert", g.files.certificate, "--tls-key", g.files.key, "--concurrency", "1", "--drain-timeout", drainTimeout.String())
	if err != nil {
		return err
	}
	return g.process.AwaitFile(ctx, ready, sidecarStart, func(data []byte) error {
		var said map[string]any
		return json.Unmarshal(data, &said)
	})
}

func (t *town) newGateway() (*gateway, error) {
	g := &gateway{user: filepath.Join(t.folder, "ada")}
	var err error
	if g.port, err = t.block.take(); err != nil {
		return nil, err
	}
	if g.files, err = makeCertificate(t.folder, "gateway"); err != nil {
		return nil, err
	}
	token, err := t.issuer.login(nil)
	if err != nil {
		return nil, fmt.Errorf("make the user's token: %w", err)
	}
	if err := os.WriteFile(g.user, []byte(userHeader+": "+token+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("make the user's token: %w", err)
	}
	g.front, err = g.door(token)
	return g, err
}

// door is the way through the gateway with a user's token; "" is none.
func (g *gateway) door(token string) (*front, error) {
	data, err := os.ReadFile(g.files.certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	f := newFront("the gateway", gatewayHost, address(g.port))
	f.secure(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: gatewayHost})
	if token != "" {
		f.header = http.Header{userHeader: {strings.TrimSpace(token)}}
	}
	return f, nil
}
