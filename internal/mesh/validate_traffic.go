package mesh

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// retryConditions are Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on values.
var retryConditions = []string{
	"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
	"retriable-4xx", "refused-stream", "http3-post-connect-failure",
	"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
}

func (t *Traffic) validate(f *Faults, path string, s *Service) {
	const longest = 24 * time.Hour
	f.check(join(path, "timeout"), durationFault(t.Timeout, time.Millisecond, longest))
	if t.NoTimeout && t.Timeout != 0 {
		f.Add(join(path, "noTimeout"), "contradicts timeout: give only one of them")
	}
	f.check(join(path, "idleTimeout"), durationFault(t.IdleTimeout, time.Millisecond, 7*longest))
	f.check(join(path, "connectTimeout"), durationFault(t.ConnectTimeout, time.Millisecond, time.Minute))
	if t.HostHeader != "" {
		f.check(join(path, "hostHeader"), authorityFault(t.HostHeader))
	}
	if t.Retries != nil {
		t.Retries.validate(f, join(path, "retries"))
	}
	t.LoadBalancing.validate(f, join(path, "loadBalancing"))
	if c := t.CircuitBreaker; c != nil {
		validateCount(f, join(path, "circuitBreaker.maxConnections"), c.MaxConnections)
		validateCount(f, join(path, "circuitBreaker.maxPendingRequests"), c.MaxPendingRequests)
		validateCount(f, join(path, "circuitBreaker.maxRequests"), c.MaxRequests)
		validateCount(f, join(path, "circuitBreaker.maxRetries"), c.MaxRetries)
	}
	if o := t.OutlierDetection; o != nil {
		o.validate(f, join(path, "outlierDetection"))
	}
	if t.TLS != nil {
		t.TLS.validate(f, join(path, "tls"), s)
	}
}

func (r *Retries) validate(f *Faults, path string) {
	if r.Attempts < 0 || r.Attempts > 10 {
		f.Add(join(path, "attempts"), "%d is out of range: use 0 to 10", r.Attempts)
	}
	if len(r.On) > len(retryConditions) {
		f.Add(join(path, "on"), "has %d entries; there are only %d conditions", len(r.On), len(retryConditions))
		return
	}
	for i, condition := range r.On {
		if !slices.Contains(retryConditions, condition) {
			f.Add(at(join(path, "on"), i), "%s is not a retry condition: use %s", quote(condition), strings.Join(retryConditions, ", "))
		}
	}
	f.check(join(path, "perTryTimeout"), durationFault(r.PerTryTimeout, time.Millisecond, time.Hour))
}

func (l *LoadBalancing) validate(f *Faults, path string) {
	switch l.Policy {
	case "", RoundRobin, LeastRequest, Random, RingHash, Maglev:
	default:
		f.Add(join(path, "policy"), "%s", oneOf(string(l.Policy), RoundRobin, LeastRequest, Random, RingHash, Maglev))
	}
	if l.HashHeader != "" {
		if l.Policy != RingHash && l.Policy != Maglev {
			f.Add(join(path, "hashHeader"), "is only for the policies ringHash and maglev")
		}
		f.check(join(path, "hashHeader"), headerNameFault(l.HashHeader))
	}
	if len(l.LocalityWeights) > maxLabels {
		f.Add(join(path, "localityWeights"), "has %d entries; at most %d are allowed", len(l.LocalityWeights), maxLabels)
		return
	}
	seen := map[Locality]int{}
	for i, w := range l.LocalityWeights {
		entry := at(join(path, "localityWeights"), i)
		if w.Region == "" && w.Zone == "" {
			f.Add(entry, "names no locality: give a region, a zone or both")
		}
		f.check(join(entry, "region"), labelValueFault(w.Region))
		f.check(join(entry, "zone"), labelValueFault(w.Zone))
		validateWeight(f, join(entry, "weight"), w.Weight, 1_000_000)
		key := Locality{Region: w.Region, Zone: w.Zone}
		if first, twice := seen[key]; twice {
			f.Add(entry, "is the same locality as localityWeights[%d]", first)
		}
		seen[key] = i
	}
}

func (o *OutlierDetection) validate(f *Faults, path string) {
	validateCount(f, join(path, "consecutiveErrors"), o.ConsecutiveErrors)
	f.check(join(path, "interval"), durationFault(o.Interval, 10*time.Millisecond, time.Hour))
	f.check(join(path, "baseEjectionTime"), durationFault(o.BaseEjectionTime, 10*time.Millisecond, time.Hour))
	if o.MaxEjectionPercent < 0 || o.MaxEjectionPercent > 100 {
		f.Add(join(path, "maxEjectionPercent"), "%d is out of range: use 0 to 100", o.MaxEjectionPercent)
	}
}

func (t *UpstreamTLS) validate(f *Faults, path string, s *Service) {
	if s.Endpoints.Registered() {
		f.Add(path, "is for services outside the mesh: they have dns or static endpoints")
	}
	if t.SNI != "" {
		f.check(join(path, "sni"), hostFault(t.SNI))
	} else if s.Endpoints.DNS == nil && len(s.Endpoints.Static) > 0 {
		f.Add(join(path, "sni"), "is required with static endpoints: the name in the server's certificate")
	}
	f.check(join(path, "ca"), certificatesFault(t.CA))
	if len(t.SubjectAltNames) > maxLabels {
		f.Add(join(path, "subjectAltNames"), "has %d entries; at most %d are allowed", len(t.SubjectAltNames), maxLabels)
		return
	}
	for i, name := range t.SubjectAltNames {
		domain, wild := strings.CutPrefix(name, "*.")
		if fault := hostFault(domain); fault != "" {
			f.Add(at(join(path, "subjectAltNames"), i), "%s", fault)
		} else if wild && ipFault(domain) == "" {
			f.Add(at(join(path, "subjectAltNames"), i), "%s puts a star before an address: only host names have them", quote(name))
		}
	}
	if t.MinVersion != "" && t.MinVersion != "1.2" && t.MinVersion != "1.3" {
		f.Add(join(path, "minVersion"), "%s", oneOf(t.MinVersion, "1.2", "1.3"))
	}
}

// certificatesFault says why s holds no PEM certificates; an empty one may hold
// none. Text around them is let through, as OpenSSL does.
func certificatesFault(s string) string {
	if s == "" {
		return ""
	}
	rest := []byte(s)
	for n := 1; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && n > max(1, strings.Count("\n"+s, "\n-----BEGIN ")):
			return ""
		case block == nil || block.Type != "CERTIFICATE":
			return fmt.Sprintf("has no PEM block of type CERTIFICATE at place %d", n)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Sprintf("holds no certificate at place %d: %v", n, err)
		}
	}
}

func (h *HealthCheck) validate(f *Faults, path string, p Protocol) {
	switch h.Type {
	case CheckHTTP, CheckTCP:
	case CheckGRPC:
		if p == HTTP || p == TCP {
			f.Add(join(path, "type"), "grpc needs the protocol grpc or http2, and the service speaks %s: use http or tcp", p)
		}
	default:
		f.Add(join(path, "type"), "%s", oneOf(string(h.Type), CheckHTTP, CheckGRPC, CheckTCP))
	}
	if h.Type != CheckHTTP && (h.Path != "" || h.ExpectedStatus != 0) {
		f.Add(path, "path and expectedStatus are only for type http")
	}
	if h.Path != "" {
		f.check(join(path, "path"), pathFault(h.Path))
	}
	if h.ExpectedStatus != 0 && (h.ExpectedStatus < 100 || h.ExpectedStatus > 599) {
		f.Add(join(path, "expectedStatus"), "%d is not an HTTP status", h.ExpectedStatus)
	}
	f.check(join(path, "interval"), durationFault(h.Interval, 10*time.Millisecond, time.Hour))
	f.check(join(path, "timeout"), durationFault(h.Timeout, 10*time.Millisecond, time.Hour))
	validateCount(f, join(path, "healthyThreshold"), h.HealthyThreshold)
	validateCount(f, join(path, "unhealthyThreshold"), h.UnhealthyThreshold)
}

func validateCount(f *Faults, path string, n int) {
	if n < 0 || n > 1_000_000 {
		f.Add(path, "%d is out of range: use 0 to 1000000", n)
	}
}

func validateWeight(f *Faults, path string, weight, most int) {
	if weight < 0 || weight > most {
		f.Add(path, "%d is out of range: use 0 to %d", weight, most)
	}
}

// headerNameFault follows RFC 9110, section 5.1, in lower case as HTTP/2 wants it.
func headerNameFault(s string) string {
	bad := strings.ContainsFunc(s, func(r rune) bool {
		return !isLowerAlnum(r) && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
	if s == "" || len(s) > 256 || bad {
		return fmt.Sprintf("%s is not a header name", quote(s))
	}
	return ""
}

func headerValueFault(s string) string {
	if len(s) > 4096 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "is not a header value: it has control characters or is longer than 4096 bytes"
	}
	return ""
}

func pathFault(s string) string {
	if !strings.HasPrefix(s, "/") {
		return fmt.Sprintf("%s has to begin with \"/\"", quote(s))
	}
	if len(s) > 4096 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.ContainsAny(s, "?#") {
		return fmt.Sprintf("%s is not a path: printable ASCII without spaces, \"?\" and \"#\"", quote(s))
	}
	return ""
}

func ipPortFault(s string) string {
	if at, err := netip.ParseAddrPort(s); err != nil || at.Port() == 0 || at.Addr().Zone() != "" {
		return fmt.Sprintf("%s is not an address with a port, such as 10.0.0.2:53", quote(s))
	}
	return ""
}

// oneOf says which values a field takes.
func oneOf[T ~string](got string, allowed ...T) string {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	list := strings.Join(names, ", ")
	if got == "" {
		return "is required: one of " + list
	}
	return fmt.Sprintf("%s is not one of %s", quote(got), list)
}
