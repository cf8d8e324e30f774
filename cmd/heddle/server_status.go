package main

import (
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// proxies gives the API what the xDS server knows of the connected proxies.
func (n *serverNode) proxies() []server.Proxy {
	streams := n.xds.Status()
	out := make([]server.Proxy, 0, len(streams))
	for _, s := range streams {
		proxy := server.Proxy{
			Node: s.Node, Service: mesh.ServiceName(s.Service), Instance: mesh.InstanceID(s.Instance), Scope: s.Scope,
			Address: s.Address, Transport: string(s.Transport), Connected: s.Connected,
		}
		for _, t := range s.Types {
			proxy.Types = append(proxy.Types, server.ProxyType{
				Type: t.Type, Sent: t.Sent, Acknowledged: t.Acknowledged, Rejections: t.Nacks,
				Rejected: rejection(t.LastNack), BehindSince: t.BehindSince,
			})
		}
		out = append(out, proxy)
	}
	return out
}

func rejection(nack *xds.Nack) *server.Rejection {
	if nack == nil {
		return nil
	}
	out := &server.Rejection{Message: nack.Message, At: nack.At, Version: nack.Version}
	for _, origin := range nack.Origins {
		out.Objects = append(out.Objects, server.Origin(origin))
	}
	return out
}

// problems gives the API what could not be translated as declared.
func (n *serverNode) problems() []server.Problem {
	problems := n.plane.Problems()
	out := make([]server.Problem, 0, len(problems))
	for _, p := range problems {
		out = append(out, server.Problem(p))
	}
	return out
}
