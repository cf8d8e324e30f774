package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// proxies gives the API what the xDS server knows of the connected proxies.
func (n *serverNode) proxies() []server.Proxy { return controlplane.Streams(n.xds.Status()) }

// proxyConfig gives the API what one of them has.
func (n *serverNode) proxyConfig(q mesh.ProxyQuery) (mesh.ProxyConfig, error) {
	return controlplane.ProxyConfig(n.xds, q)
}

// problems gives the API what could not be translated as declared, what proxies
// refused, and who is there twice.
func (n *serverNode) problems() []server.Problem {
	problems := n.plane.Problems()
	out := make([]server.Problem, 0, len(problems))
	for _, p := range problems {
		out = append(out, server.Problem(p))
	}
	for _, q := range n.xds.Quarantine() {
		out = append(out, quarantineProblem(q))
	}
	return append(out, duplicates(n.xds.Status())...)
}

// quarantineProblem says what a proxy refused, and in its words.
func quarantineProblem(q xds.Quarantined) server.Problem {
	inForce := "it is withheld, because there is no version of it that a proxy accepted"
	if q.Good != "" {
		inForce = "version " + q.Good + " stays in force"
	}
	revision := "" // its author is in the history, for those who may see it
	if q.Origin.Revision != 0 {
		revision = fmt.Sprintf(", of revision %d", q.Origin.Revision)
	}
	object := q.Origin.Object
	if object == "" {
		object = q.Name
	}
	return server.Problem{Object: object, Message: fmt.Sprintf("a proxy refused %s %s in version %s%s: %s said %q. No other proxy is sent it; %s. Mend the object and apply it",
		xds.TypeLabel(q.Type), q.Name, q.Version, revision, q.Node, q.Message, inForce)}
}

// duplicates are proxies that share an id: whoever registered last has the
// instance, and its dependents never find the other one. A proxy whose separate
// services have a stream each is one: it is told by transport and address.
func duplicates(streams []xds.ProxyStatus) []server.Problem {
	type seat struct {
		node      string
		transport xds.Transport
	}
	addresses := map[seat][]string{}
	var order []seat
	for _, s := range streams {
		if translate.Proxyless(s.Scope) {
			continue // a gRPC library may have a connection for each of its targets, and registers nothing
		}
		at := seat{s.Node, s.Transport}
		if len(addresses[at]) == 0 {
			order = append(order, at)
		}
		if !slices.Contains(addresses[at], s.Address) {
			addresses[at] = append(addresses[at], s.Address)
		}
	}
	var out []server.Problem
	for _, at := range order {
		from := addresses[at]
		if len(from) < 2 {
			continue
		}
		slices.Sort(from)
		count := "two"
		if len(from) > 2 {
			count = fmt.Sprint(len(from))
		}
		last := len(from) - 1
		out = append(out, server.Problem{Object: "instance/" + at.node, Message: fmt.Sprintf(
			"%s proxies are connected as %s, from %s and %s: give each workload an --instance of its own (a connection that was cut may count for 40 s more)",
			count, at.node, strings.Join(from[:last], ", "), from[last])})
	}
	return out
}
