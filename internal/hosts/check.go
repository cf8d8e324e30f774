package hosts

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// CheckKind is how a service is asked whether it can serve.
type CheckKind string

// Kinds of checks.
const (
	CheckHTTP   CheckKind = "http"   // GET of a URL: 200 to 299 is healthy
	CheckGRPC   CheckKind = "grpc"   // grpc.health.v1 at HOST:PORT[/SERVICE]
	CheckTCP    CheckKind = "tcp"    // a connection to HOST:PORT
	CheckExec   CheckKind = "exec"   // a command without a shell: exit code 0 is healthy
	CheckEngine CheckKind = "engine" // what the container engine says by its own HEALTHCHECK
	CheckNone   CheckKind = "none"   // healthy as long as it runs
)

// ParseCheckKind understands Heddle's names of kinds, and those of Sidecar's HealthCheck.
func ParseCheckKind(text string) (CheckKind, error) {
	switch kind := CheckKind(strings.ToLower(text)); kind {
	case CheckHTTP, CheckGRPC, CheckTCP, CheckExec, CheckEngine, CheckNone:
		return kind, nil
	case "httpget":
		return CheckHTTP, nil
	case "external":
		return CheckExec, nil
	case "alwayssuccessful":
		return CheckNone, nil
	}
	return "", fmt.Errorf("%q is none of http (HttpGet), grpc, tcp, exec (External), engine, none (AlwaysSuccessful)", text)
}

// LeastInterval is how often anything is checked at most; MostInterval, how seldom.
const (
	LeastInterval = 10 * time.Millisecond
	MostInterval  = time.Hour
)

// mostOutcomes is how many outcomes in a row a check may be told to wait for.
const mostOutcomes = 1000

// ParseCheckTime reads an interval or a timeout of a check, at least so long.
func ParseCheckTime(text string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > MostInterval {
		return 0, fmt.Errorf("%.40q is no time from %s to %s, such as 3s", text, least, MostInterval)
	}
	return d, nil
}

// ParseOutcomes reads how many outcomes in a row change a verdict.
func ParseOutcomes(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostOutcomes {
		return 0, fmt.Errorf("%.40q is no number from 1 to %d", text, mostOutcomes)
	}
	return n, nil
}

// ParseInitial reads a health until the first outcome; "" has the default.
func ParseInitial(text string) (Health, error) {
	switch initial := Health(text); initial {
	case "", Healthy, Unhealthy, Unknown:
		return initial, nil
	}
	return "", fmt.Errorf("%.40q is none of healthy, unhealthy, unknown", text)
}

// Check says how a copy of a service is checked by its own host. What is left zero has
// the host's defaults. Other hosts are told the outcome only.
type Check struct {
	Kind CheckKind
	// Args is the URL, the address or the command. It may have {{host}} (the service's
	// address), {{tcp N}} and {{udp N}} (where its ServicePort N is reached) and
	// {{container}} (the host's name). Empty: made of the first TCP port.
	Args      string
	Interval  time.Duration
	Timeout   time.Duration
	Healthy   int    // so many successes in a row make it healthy
	Unhealthy int    // so many failures in a row make it unhealthy
	Initial   Health // until the first outcome: Healthy, Unhealthy or Unknown
	// Own has it ask the service itself alone, at its own addresses and TCP ports: who
	// says how it is checked is not who may ask what this host reaches.
	Own bool
}

// Has says whether a service is reached at an address by TCP.
func (s Service) Has(at netip.AddrPort) bool {
	return slices.ContainsFunc(s.Ports, func(p Port) bool {
		own := s.Address
		if p.Address.IsValid() {
			own = p.Address
		}
		return cmp.Or(p.Type, "tcp") == "tcp" && int(p.Port) == int(at.Port()) && own.Unmap() == at.Addr().Unmap()
	})
}

// PortFor gives where a service's ServicePort is reached, as {{tcp N}} of checks and
// listeners name it; 0 if it has none.
func (s Service) PortFor(kind string, servicePort mesh.Port) mesh.Port {
	for _, p := range s.Ports {
		if p.ServicePort == servicePort && cmp.Or(p.Type, "tcp") == kind {
			return p.Port
		}
	}
	return 0
}

// FirstTCP gives the first TCP port of a service, by number; 0 if it has none.
func (s Service) FirstTCP() mesh.Port {
	var ports []mesh.Port
	for _, p := range s.Ports {
		if cmp.Or(p.Type, "tcp") == "tcp" && p.Port != 0 {
			ports = append(ports, p.Port)
		}
	}
	if len(ports) == 0 {
		return 0
	}
	return slices.Min(ports)
}
