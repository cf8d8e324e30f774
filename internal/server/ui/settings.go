package ui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// setting is one thing that a declaration says, in words.
type setting struct {
	Name, Text string
	Default    bool // it is not said, and this is what holds
}

// settings tells in words how calls to a service are treated.
func settings(s *mesh.Service) []setting {
	t := &s.Traffic
	all := []setting{timeout(s), retries(s.Protocol, t.Retries), balancing(&t.LoadBalancing)}
	if t.IdleTimeout != 0 {
		all = append(all, setting{Name: "Idle connections", Text: "ended after " + span(t.IdleTimeout) + " without a byte"})
	}
	if t.ConnectTimeout != 0 {
		all = append(all, setting{Name: "Connecting", Text: "may take " + span(t.ConnectTimeout)})
	}
	all = append(all, breaker(t.CircuitBreaker), outliers(t.OutlierDetection), checks(s.HealthCheck))
	if t.HostHeader != "" {
		all = append(all, setting{Name: "Host header", Text: "replaced by " + t.HostHeader})
	}
	if t.TLS != nil {
		all = append(all, setting{Name: "TLS", Text: "to the service, as " + cmp.Or(t.TLS.SNI, "its DNS host") + ", version " + cmp.Or(t.TLS.MinVersion, "1.2") + " or newer"})
	}
	for i, rule := range s.Routes {
		all = append(all, setting{Name: fmt.Sprintf("Rule %d", i+1), Text: ruleText(&rule)})
	}
	for _, subset := range s.Subsets {
		all = append(all, setting{Name: "Subset " + subset.Name, Text: "instances with " + labels(subset.Labels)})
	}
	return append(all, callers(&s.Access), enforcement(&s.Access), encryption(&s.Access))
}

func span(d mesh.Duration) string { return time.Duration(d).String() }

func timeout(s *mesh.Service) setting {
	t := &s.Traffic
	switch {
	case !s.Protocol.IsHTTP():
		return setting{"Timeout", "a connection may last as long as it is used", true}
	case t.NoTimeout:
		return setting{"Timeout", "none: a request may take as long as it likes", false}
	case t.Timeout != 0:
		return setting{"Timeout", span(t.Timeout) + " for a whole request with its retries", false}
	case s.Protocol == mesh.GRPC:
		return setting{"Timeout", "the caller's own deadline", true}
	}
	return setting{"Timeout", "15s for a whole request with its retries", true}
}

func retries(protocol mesh.Protocol, r *mesh.Retries) setting {
	switch {
	case !protocol.IsHTTP():
		return setting{"Retries", "none: connections are not tried again", true}
	case r == nil:
		return setting{"Retries", "2 more attempts, when a request did not reach the service", true}
	case r.Attempts == 0:
		return setting{"Retries", "none", false}
	}
	text := count(r.Attempts, "more attempt", "more attempts")
	if len(r.On) > 0 {
		text += " on " + strings.Join(r.On, ", ")
	} else {
		text += ", when a request did not reach the service"
	}
	if r.PerTryTimeout != 0 {
		text += "; each may take " + span(r.PerTryTimeout)
	}
	return setting{"Retries", text, false}
}

var policyWords = map[mesh.Policy]string{
	mesh.RoundRobin: "round robin: one instance after the other", mesh.LeastRequest: "least request: the less busy of two",
	mesh.Random: "random", mesh.RingHash: "ring hash", mesh.Maglev: "Maglev hash",
}

func balancing(b *mesh.LoadBalancing) setting {
	policy := cmp.Or(b.Policy, mesh.RoundRobin)
	text := cmp.Or(policyWords[policy], string(policy))
	if policy == mesh.RingHash || policy == mesh.Maglev {
		text += " of " + cmp.Or(b.HashHeader, "the caller's address")
	}
	var shares []string
	for _, one := range b.LocalityWeights {
		shares = append(shares, fmt.Sprintf("%s %d", place(mesh.Locality{Region: one.Region, Zone: one.Zone}), one.Weight))
	}
	if len(shares) > 0 {
		text += "; by locality: " + strings.Join(shares, ", ")
	}
	return setting{"Load balancing", text, b.Policy == "" && len(shares) == 0}
}

func breaker(b *mesh.CircuitBreaker) setting {
	if b == nil {
		return setting{"Limits of a sidecar", "1024 connections, 1024 waiting, 1024 under way", true}
	}
	return setting{"Limits of a sidecar", fmt.Sprintf("%d connections, %d waiting, %d under way",
		cmp.Or(b.MaxConnections, 1024), cmp.Or(b.MaxPendingRequests, 1024), cmp.Or(b.MaxRequests, 1024)), false}
}

func outliers(o *mesh.OutlierDetection) setting {
	if o == nil {
		return setting{"Failing instances", "stay in rotation", true}
	}
	return setting{"Failing instances", fmt.Sprintf("out of rotation for %s after %d errors in a row, at most %d%% of them",
		span(cmp.Or(o.BaseEjectionTime, mesh.Duration(30*time.Second))), cmp.Or(o.ConsecutiveErrors, 5), cmp.Or(o.MaxEjectionPercent, 50)), false}
}

func checks(h *mesh.HealthCheck) setting {
	if h == nil {
		return setting{"Health check", "none by sidecars: what instances say of themselves counts", true}
	}
	text := strings.ToUpper(string(h.Type))
	if h.Type == mesh.CheckHTTP {
		text += fmt.Sprintf(" %s, expecting %d,", cmp.Or(h.Path, "/"), cmp.Or(h.ExpectedStatus, 200))
	}
	return setting{"Health check", text + " every " + span(cmp.Or(h.Interval, mesh.Duration(5*time.Second))), false}
}

func ruleText(rule *mesh.RouteRule) string {
	match := matchText(&rule.Match)
	var to []string
	for _, one := range rule.To {
		to = append(to, fmt.Sprintf("%s %d", cmp.Or(one.Subset, "all instances"), one.Weight))
	}
	text := match + " → " + cmp.Or(strings.Join(to, ", "), "all instances")
	if rule.Timeout != 0 {
		text += "; timeout " + span(rule.Timeout)
	}
	if rule.Rewrite != "" {
		text += "; rewritten to " + rule.Rewrite
	}
	if rule.Mirror != nil {
		text += "; copied to " + rule.Mirror.Subset
	}
	return text
}

func matchText(m *mesh.RequestMatch) string {
	var parts []string
	if len(m.Methods) > 0 {
		parts = append(parts, strings.Join(m.Methods, " or "))
	}
	if p := m.Path; p != nil {
		switch {
		case p.Exact != "":
			parts = append(parts, p.Exact+" exactly")
		case p.Prefix != "":
			parts = append(parts, p.Prefix+" and below")
		default:
			parts = append(parts, "paths like "+p.Regex)
		}
	}
	for _, h := range m.Headers {
		parts = append(parts, "with header "+h.Name)
	}
	for _, q := range m.Query {
		parts = append(parts, "with parameter "+q.Name)
	}
	return cmp.Or(strings.Join(parts, " "), "every request")
}

func callers(a *mesh.Access) setting {
	if a.Callers == mesh.ApprovedCallers {
		return setting{"Callers", "those that its owner has approved", false}
	}
	return setting{"Callers", "whoever declares it", a.Callers == ""}
}

func enforcement(a *mesh.Access) setting {
	switch a.Enforcement {
	case mesh.Observe:
		return setting{"What is not allowed", "passes, and is logged (observe)", false}
	case mesh.Warn:
		return setting{"What is not allowed", "passes with a warning header (warn)", false}
	}
	return setting{"What is not allowed", "is refused (deny)", a.Enforcement == ""}
}

func encryption(a *mesh.Access) setting {
	switch a.MTLS {
	case mesh.Strict:
		return setting{"Plain text", "is refused: callers prove who they are (strict)", false}
	case mesh.Permissive:
		return setting{"Plain text", "is taken, too (permissive)", false}
	}
	return setting{"Plain text", "as the server's --mtls says", true}
}
