package docker

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/moby/moby/api/types/container"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// shortID is how much of a container's ID tells it apart on its host, as docker ps shows it.
const shortID = 12

// What other hosts are told of one container is bounded: bytes of a text, and numbers.
const (
	maxText   = 63
	maxImage  = 255
	maxLabels = 16
	maxPorts  = 32
)

// Rules say what services are made of containers.
type Rules struct {
	Address netip.Addr // the host's, where published ports are reached
	// Direct has containers called at their own addresses, which all hosts have to reach,
	// and not at the ports that the host publishes for them.
	Direct bool
	// Network is the one whose addresses are used; "": that which a container is in.
	Network string
	// NameLabel is the label with a service's name, beside heddle.name.
	NameLabel string
	// NameMatch, if given, makes names of containers' names, by its first group, in place
	// of NameLabel.
	NameMatch *regexp.Regexp
	// Labels are the names of labels that other hosts are told, beside heddle.label.NAME.
	Labels []string
	// Exec lets labels name commands that are run on this host as checks. Whoever makes an
	// image sets labels of its containers.
	Exec bool
	// Remote lets labels name any URL or HOST:PORT as what checks ask, from this host, and
	// not the container's own ports alone.
	Remote bool
}

// reading is one container being read.
type reading struct {
	rules  Rules
	labels map[string]string
	faults []string
}

func (r *reading) fault(format string, arguments ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, arguments...))
}

// service makes a service of a container, if it is one, and says what of its labels is
// of no use. A bad label loses what it says, and no more.
func (rules Rules) service(c container.Summary) (one hosts.Service, is bool, faults []string) {
	r := &reading{rules: rules, labels: c.Labels}
	if !r.discovered() || (c.State != container.StateRunning && c.State != container.StatePaused) || len(c.ID) < shortID {
		return one, false, r.faults
	}
	one = hosts.Service{ID: c.ID[:shortID], Image: c.Image, Address: rules.Address, Mode: r.mode()}
	if c.Created > 0 {
		one.Created = time.Unix(c.Created, 0).UTC()
	}
	one.Image = cut(one.Image, maxImage)
	one.Name = r.name(c)
	if one.Ports = r.ports(&one, c); len(one.Ports) == 0 {
		return one, false, r.faults
	}
	r.misspelt()
	one.Labels = r.told()
	r.health(&one, c)
	one.Listener = r.listener(one)
	return one, true, r.faults
}

// label gives the first of labels that is there.
func (r *reading) label(names ...string) (name, value string) {
	for _, name := range names {
		if value, there := r.labels[name]; there {
			return name, strings.TrimSpace(value)
		}
	}
	return "", ""
}

func (r *reading) discovered() bool {
	name, value := r.label("heddle.discover", "SidecarDiscover")
	if name == "" {
		return true
	}
	yes, err := strconv.ParseBool(value)
	if err != nil {
		r.fault("%s=%q is neither true nor false: it is discovered", name, value)
		return true
	}
	return yes
}

func (r *reading) mode() hosts.Mode {
	name, value := r.label("heddle.mode", "ProxyMode")
	switch mode := hosts.Mode(strings.ToLower(value)); mode {
	case "", hosts.HTTPMode: // as without the label
	case hosts.TCPMode, hosts.WebSocketMode, hosts.HTTP2Mode, hosts.GRPCMode:
		return mode
	default:
		r.fault("%s=%q is none of http, tcp, ws, http2, grpc: http is taken", name, value)
	}
	return ""
}

// name is the first that the mesh can call something by.
func (r *reading) name(c container.Summary) string {
	own := ""
	if len(c.Names) > 0 {
		own = strings.TrimPrefix(c.Names[0], "/")
	}
	labels := []string{"heddle.name"}
	if r.rules.NameMatch == nil {
		labels = append(labels, r.rules.NameLabel)
	}
	if label, value := r.label(labels...); hosts.MeshName(value) != "" && len(value) <= maxText {
		return value
	} else if label != "" {
		r.fault("%s=%q is no name: use letters and digits, at most %d bytes", label, value, maxText)
	}
	if r.rules.NameMatch != nil {
		if found := r.rules.NameMatch.FindStringSubmatch(own); len(found) > 1 && hosts.MeshName(found[1]) != "" && len(found[1]) <= maxText {
			return found[1]
		}
	}
	name := cmp.Or(repository(c.Image), own)
	return cut(name, maxText)
}

// cut shortens a text to so many bytes, and keeps it a text.
func cut(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// repository is the last part of an image's name, without what changes with each
// version: "web" of "registry.example:5000/shop/web:7@sha256:…". An image that is named by
// its digest alone has none.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	name, _, _ := strings.Cut(image, ":")
	if name == "sha256" || len(name) >= shortID && !strings.ContainsFunc(name, func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) }) {
		return ""
	}
	if hosts.MeshName(name) == "" {
		return ""
	}
	return name
}

// told are the labels that other hosts are told, and routes can tell copies apart by.
func (r *reading) told() map[string]string {
	told := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.labels)) {
		key, own := strings.CutPrefix(name, "heddle.label.")
		if !own && !slices.Contains(r.rules.Labels, name) {
			continue
		}
		switch value := r.labels[name]; {
		case len(told) == maxLabels:
			r.fault("%s: other hosts are told %d labels of a container, not more", name, maxLabels)
		case key == "" || len(key) > maxText || len(value) > maxText:
			r.fault("%s: a label's name and its value may have %d bytes each: other hosts are not told of it", name, maxText)
		case strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) || strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }):
			r.fault("%s: it has characters that no label of the mesh has: other hosts are not told of it", name)
		default:
			told[key] = value
		}
	}
	if len(told) == 0 {
		return nil
	}
	return told
}

// listener is where the service wants to be posted the fleet's changes.
func (r *reading) listener(one hosts.Service) string {
	name, value := r.label("heddle.listener", "SidecarListener")
	if name == "" {
		return ""
	}
	wanted, err := parsePort(value)
	if err != nil {
		r.fault("%s=%q: %v: nothing is posted to it", name, value, err)
		return ""
	}
	for _, p := range one.Ports {
		if p.ServicePort == wanted && p.Type == "tcp" {
			address := one.Address
			if p.Address.IsValid() {
				address = p.Address
			}
			return "http://" + net.JoinHostPort(address.String(), fmt.Sprint(p.Port)) + "/sidecar/update"
		}
	}
	r.fault("%s=%s: no TCP port of it has this ServicePort: nothing is posted to it", name, value)
	return ""
}

func parsePort(text string) (mesh.Port, error) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%q is no port: use 1 to 65535", text)
	}
	return mesh.Port(number), nil
}
