package agent

import (
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

const (
	// envoyPoll is how often it is seen what Envoys refuse.
	envoyPoll = time.Second
	// mostWords bounds, in bytes, what is told of an Envoy's words.
	mostWords = 400
)

// watchEnvoys tells what the Envoys of this host refuse, until ctx ends.
func (a *Agent) watchEnvoys(ctx context.Context) {
	tick := time.NewTicker(envoyPoll)
	defer tick.Stop()
	looks := map[refused]uint{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			status := a.plane.xds.Status()
			looks = tryFree(a.plane.xds, status, looks)
			a.proxyWrong(ofEnvoys, refusals(a.plane.xds.Quarantine(), status, a.catalog.View()))
		}
	}
}

// refused is a listener that an Envoy could not have, and where.
type refused struct {
	listener string
	at       netip.AddrPort
}

// tryFree has Envoys sent the listeners again whose ports were another process's and are
// free. before and looks are how often in a row such a port was free, or not looked at: it
// is at the 1st, 2nd, 4th, 8th time and so on, as an Envoy takes a while, and would find
// the port taken while it is looked at.
func tryFree(server *xds.Server, streams []xds.ProxyStatus, before map[refused]uint) (looks map[refused]uint) {
	looks = map[refused]uint{}
	for _, stream := range streams {
		for _, t := range stream.Types {
			if t.Type != translate.TypeListener {
				continue
			}
			for _, r := range t.Rejected {
				if at, taken := proxy.TakenPlace(r.Message); taken {
					one := refused{r.Name, at}
					looks[one] = before[one] + 1
				}
			}
		}
	}
	for one, number := range looks {
		switch {
		case bits.OnesCount(number) != 1:
		case proxy.PortFault(one.at.Addr().String(), mesh.Port(one.at.Port())) != "":
			looks[one] = 0
		default:
			server.TryAgain(translate.TypeListener, one.listener)
		}
	}
	return looks
}

// refusals lists what Envoys refuse: for a reason of this host, such as a port that is
// another's, or because it cannot be.
func refusals(quarantine []xds.Quarantined, streams []xds.ProxyStatus, v *catalog.View) []proxy.Problem {
	var list []proxy.Problem
	add := func(p proxy.Problem) {
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	for _, q := range quarantine {
		add(refusal(v, q.Type, q.Name, q.Origin, q.Message))
	}
	for _, stream := range streams {
		for _, t := range stream.Types {
			for _, r := range t.Rejected {
				add(refusal(v, t.Type, r.Name, r.Origin, r.Message))
			}
		}
	}
	return list
}

// refusal is the problem of one resource that an Envoy refuses with these words.
func refusal(v *catalog.View, kind, name string, from xds.Origin, words string) proxy.Problem {
	if len(words) > mostWords {
		words = strings.ToValidUTF8(words[:mostWords], "") + "…"
	}
	what, whose := map[string]string{
		translate.TypeListener: "what listens", translate.TypeRoute: "the routes", translate.TypeCluster: "how copies are reached", translate.TypeEndpoint: "the addresses of copies",
	}[kind], ""
	s, declared := v.Service(serviceOf(name, from))
	if declared {
		whose = " for it"
	}
	if what == "" {
		what = name
	}
	p := proxy.Problem{Message: fmt.Sprintf("Envoy refuses %s%s, and goes on with what it had before: it says %q. Change what is said of the service (ports, ProxyMode), or report this with these words", what, whose, words)}
	if !declared {
		return p
	}
	p.Service = s.Name
	if kind == translate.TypeListener {
		if fault := proxy.BindFault(words); fault != "" {
			return proxy.NoPort(s, s.ListenerPort, fault)
		}
		p.Port = s.ListenerPort
	}
	return p
}

// serviceOf gives the service that a resource is of; "": it is of all, or of none.
func serviceOf(name string, from xds.Origin) mesh.ServiceName {
	if strings.HasPrefix(name, "outbound.") {
		return "" // where all are called by name: its origin is only who changed last
	}
	of, is := strings.CutPrefix(from.Object, "service/")
	if !is {
		of, is = strings.CutPrefix(from.Object, "instance/")
		of, _, _ = strings.Cut(of, "/")
	}
	if !is || of == string(HostProxy) {
		return ""
	}
	return mesh.ServiceName(of)
}
