package insight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// mostShown bounds how many proxies or instances an explanation names.
const mostShown = 20

// known refuses a question about an instance of the caller that nobody knows. Whether
// the caller is declared at all is the first step's answer.
func (i *inquiry) known() error {
	if i.instance == "" || len(i.proxies) > 0 || i.gateway == "" && i.caller == nil {
		return nil
	}
	name, atEdge := mesh.ServiceName(strings.TrimPrefix(i.out.From, mesh.GatewayCaller(""))), i.gateway != ""
	var known []string
	if !atEdge {
		for _, one := range i.View.Instances(name) {
			known = append(known, string(one.ID))
		}
	}
	if slices.Contains(known, string(i.instance)) {
		return nil
	}
	for _, p := range i.connected(name, atEdge) {
		known = append(known, strings.TrimPrefix(p.Node, string(name)+"/"))
	}
	slices.Sort(known)
	known = slices.Compact(known)
	if len(known) > mostShown {
		known = append(known[:mostShown:mostShown], "…")
	}
	if len(known) == 0 {
		known = []string{"none"}
	}
	return mesh.NotFound("%s has no instance %q that is registered, or connected to this server; known are: %s",
		i.out.From, mesh.Cut(string(i.instance), 100), strings.Join(known, ", "))
}

// configuration looks at how far the caller's proxies have come. What this server
// knows is of those that are connected to it; others may be with another one.
func (i *inquiry) configuration() mesh.ExplainedStep {
	if step, is := i.quarantined(); is {
		return step
	}
	if len(i.proxies) == 0 {
		step := unknown("no proxy of %s is connected to this server: if none is with another one either, the connection is refused. What follows is for one with the default settings.", i.out.From)
		step.Mend = i.besides()
		if i.gateway != "" {
			step.Mend = command("heddle proxy --gateway", string(i.gateway))
		}
		return step
	}
	evidence, late, empty := i.states(i.proxies)
	connected := fmt.Sprintf("%s of %s %s connected", plural(len(i.proxies), "proxy"), i.out.From, isOrAre(len(i.proxies)))
	if len(i.proxies) != 1 {
		connected = fmt.Sprintf("%d proxies of %s are connected", len(i.proxies), i.out.From)
	}
	if i.gateway == "" && i.Trust.Roots != nil && !i.scope.Proxy.Identity && slices.ContainsFunc(i.proxies, func(p *Proxy) bool { return p.Scope.Proxy.Identity }) {
		connected += ", some without an identity, which the answer is about"
	}
	switch {
	case empty == len(i.proxies):
		return because(stops(answer(404, "", "an empty answer, for every host"), command("heddle status", i.out.From), "%s, and refused the only configuration that there is.", connected), evidence...)
	case late > 0:
		return because(doubts(command("heddle status", i.out.From), "%s, and %d of them %s behind: the answer is for what is declared now, which %s not in force there.", connected, late, isOrAre(late), isOrAre(late)), evidence...)
	}
	return because(ok("%s and %s what was sent last.", connected, map[bool]string{true: "has", false: "have"}[len(i.proxies) == 1]), evidence...)
}

// states tells of each proxy, those that are behind first; late are behind, empty
// have no routes at all.
func (i *inquiry) states(proxies []*Proxy) (evidence []mesh.ExplainedEvidence, late, empty int) {
	var well []mesh.ExplainedEvidence
	for _, p := range proxies {
		e := mesh.ExplainedEvidence{Object: "proxy/" + p.Node}
		if t, refused := p.refused(); refused {
			late++
			if t.Type == translate.TypeRoute && t.Acknowledged == "" {
				empty++
			}
			e.Says = fmt.Sprintf("refused %s %s ago: %s", shortType(t.Type), ago(i.Now, t.Refused.At), mesh.Cut(t.Refused.Message, 300))
			for _, origin := range t.Refused.Origins {
				e.Says += fmt.Sprintf("; because of %s, revision %d", origin.Object, origin.Revision)
			}
			evidence = append(evidence, e)
			continue
		}
		if since, behind := p.behind(); behind {
			late++
			e.Says = "behind for " + ago(i.Now, since)
			evidence = append(evidence, e)
			continue
		}
		e.Says = "has everything"
		well = append(well, e)
	}
	evidence = append(evidence, well...)
	if len(evidence) > mostShown {
		rest := len(evidence) - mostShown
		evidence = append(evidence[:mostShown:mostShown], mesh.ExplainedEvidence{Says: fmt.Sprintf("and %d more", rest)})
	}
	return evidence, late, empty
}

// quarantined finds what is on the way and kept from proxies.
func (i *inquiry) quarantined() (mesh.ExplainedStep, bool) {
	for _, q := range i.Quarantine {
		onTheWay := q.Type == translate.TypeListener && q.Name == i.way.listener || q.Type == translate.TypeRoute && q.Name == i.way.routes ||
			q.Type == translate.TypeCluster && slices.ContainsFunc(i.way.targets, func(t target) bool { return t.name == q.Name })
		if !onTheWay {
			continue
		}
		e := mesh.ExplainedEvidence{Object: q.Origin.Object, Revision: q.Origin.Revision, Author: q.Origin.Author, Resource: shortType(q.Type) + " " + q.Name,
			Says: fmt.Sprintf("%s refused it: %s", q.Node, mesh.Cut(q.Message, 300))}
		mend := "heddle status"
		if q.Good != "" {
			return because(doubts(mend, "the newest version of %s %s was refused by a proxy and is kept from the others: the answer is for what is declared now, while the version before stays in force.", shortType(q.Type), q.Name), e), true
		}
		sees := answer(503, "", "")
		switch q.Type {
		case translate.TypeListener:
			sees = closed("the connection is refused")
		case translate.TypeRoute:
			sees = answer(404, "", "an empty answer, for every host")
		}
		return because(stops(sees, mend, "%s %s was refused by a proxy, and there is no version before it: nobody is sent it.", shortType(q.Type), q.Name), e), true
	}
	return mesh.ExplainedStep{}, false
}
