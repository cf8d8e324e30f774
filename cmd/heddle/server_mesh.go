package main

import (
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// mesh is what questions about the mesh are asked of.
func (n *serverNode) mesh() insight.Mesh {
	m := insight.Mesh{View: n.catalog.View(), Trust: n.trust, Proxies: n.connected, Machines: n.machines, Now: time.Now(), Applied: n.plane.Applied()}
	if n.calls != nil {
		m.Seen = n.calls.between
	}
	if n.authority != nil {
		m.Revoked = n.authority.Revocations().Of
	}
	for _, q := range n.xds.Quarantine() {
		m.Quarantine = append(m.Quarantine, insight.Quarantined{
			Type: q.Type, Name: q.Name, Origin: translate.Origin(q.Origin), Good: q.Good, Message: q.Message, Node: q.Node,
		})
	}
	return m
}

// connected are the proxies of a service or gateway whose scope is open, by node; all
// of them without a name. One on the separate services has several streams, each with
// types of its own.
func (n *serverNode) connected(of mesh.ServiceName) []insight.Proxy {
	streams := n.xds.Status
	if of != "" {
		streams = func() []xds.ProxyStatus { return n.xds.StatusOf(string(of)) }
	}
	var out []insight.Proxy
	for _, s := range streams() {
		scope, open := n.plane.Scope(s.Scope)
		if !open {
			continue
		}
		if last := len(out) - 1; last < 0 || out[last].Node != s.Node || out[last].Scope.Name() != s.Scope {
			out = append(out, insight.Proxy{Node: s.Node, Scope: scope, Connected: s.Connected})
		}
		p := &out[len(out)-1]
		for _, t := range s.Types {
			one := insight.ProxyType{Type: t.Type, Sent: t.Sent, Acknowledged: t.Acknowledged, BehindSince: t.BehindSince, Waiting: t.Waiting}
			for _, r := range t.Rejected {
				one.Rejected = append(one.Rejected, insight.Rejection{Origin: translate.Origin(r.Origin), Message: r.Message})
			}
			if nack := t.LastNack; nack != nil {
				one.Refused = &insight.Refused{Message: nack.Message, At: nack.At, Standing: nack.Standing, Names: nack.Names}
				for _, origin := range nack.Origins {
					one.Refused.Origins = append(one.Refused.Origins, translate.Origin(origin))
				}
			}
			p.Types = append(p.Types, one)
		}
	}
	return out
}
