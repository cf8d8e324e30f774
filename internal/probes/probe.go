package probes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Probe is what a Kubernetes probe says that matters here. Exactly one of the ways
// is given.
type Probe struct {
	HTTPGet        *HTTPGet   `json:"httpGet"`
	TCPSocket      *TCPSocket `json:"tcpSocket"`
	GRPC           *GRPC      `json:"grpc"`
	TimeoutSeconds int        `json:"timeoutSeconds"` // 0: one
}

// HTTPGet is ready when it answers 200 to 399.
type HTTPGet struct {
	Path        string    `json:"path"`
	Port        mesh.Port `json:"port"`
	Host        string    `json:"host"`
	Scheme      string    `json:"scheme"` // HTTP (default) or HTTPS, whose certificate is not looked at
	HTTPHeaders []Header  `json:"httpHeaders"`
}

// Header is one of a request.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPSocket is ready when it takes a connection.
type TCPSocket struct {
	Port mesh.Port `json:"port"`
	Host string    `json:"host"`
}

// GRPC is ready when its health service says so.
type GRPC struct {
	Port    mesh.Port `json:"port"`
	Service string    `json:"service"`
}

// kinds are those of Kubernetes.
var kinds = []string{"readiness", "liveness", "startup"}

// Parse reads probes by CONTAINER/KIND; "" is none. What Kubernetes may say beside
// is passed over, for a newer one says more.
func Parse(text string) (map[string]Probe, error) {
	if text == "" {
		return nil, nil
	}
	var found map[string]Probe
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the application's probes (ports are numbers here, not names)", Err: err}
	}
	var f mesh.Faults
	for name, one := range found {
		container, kind, _ := strings.Cut(name, "/")
		if container == "" || !slices.Contains(kinds, kind) {
			f.Add(name, "is not a container's name, \"/\", and one of %v", kinds)
		}
		if fault := one.fault(); fault != "" {
			f.Add(name, "%s", fault)
		}
	}
	return found, mesh.Invalid("read the application's probes", f)
}

func (p Probe) fault() string {
	var ports []mesh.Port
	if p.HTTPGet != nil {
		ports = append(ports, p.HTTPGet.Port)
		if s := p.HTTPGet.Scheme; s != "" && !strings.EqualFold(s, "http") && !strings.EqualFold(s, "https") {
			return fmt.Sprintf("the scheme %q is neither HTTP nor HTTPS", s)
		}
	}
	if p.TCPSocket != nil {
		ports = append(ports, p.TCPSocket.Port)
	}
	if p.GRPC != nil {
		ports = append(ports, p.GRPC.Port)
	}
	switch {
	case len(ports) != 1:
		return "needs exactly one of httpGet, tcpSocket and grpc"
	case ports[0] < 1 || ports[0] > 65535:
		return fmt.Sprintf("%d is not a port", int(ports[0]))
	case p.TimeoutSeconds < 0:
		return "the timeout is negative"
	}
	return ""
}

func (p Probe) timeout() time.Duration {
	return time.Duration(max(p.TimeoutSeconds, 1)) * time.Second
}
