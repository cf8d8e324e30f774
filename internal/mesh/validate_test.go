package mesh_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func goodDeclaration() mesh.Service {
	return mesh.Service{Name: "orders", Owner: "shop", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"payments"}}
}

func texts(faults mesh.Faults) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Path+": "+f.Message)
	}
	return out
}

func never(rule int, path string) string {
	return fmt.Sprintf(`routes[%d].match.path.prefix: "%s" never matches: write it without "." and ".." segments, backslashes, and escapes of letters, digits, "-", ".", "_" and "~"`, rule, path)
}

func TestServiceValidation(t *testing.T) {
	v2 := []mesh.Subset{{Name: "v2", Labels: map[string]string{"version": "2"}}}
	dns := &mesh.DNSEndpoints{Host: "orders.example"}
	cases := map[string]struct {
		change func(*mesh.Service)
		want   []string
	}{
		"good":                        {func(*mesh.Service) {}, nil},
		"an empty list calls nothing": {func(s *mesh.Service) { s.Dependencies = []mesh.ServiceName{} }, nil},
		"dependencies left out": {func(s *mesh.Service) { s.Dependencies = nil }, []string{
			"dependencies: is required: list the services that this one calls, or write an empty list ([]) if it calls nothing"}},
		"everything wrong at once": {func(s *mesh.Service) {
			*s = mesh.Service{Name: "Orders!", Protocol: "udp", Port: 70000, Dependencies: []mesh.ServiceName{"a", "a", "B"}}
		}, []string{
			`name: "Orders!" is not a DNS label: use lower-case letters, digits and inner hyphens`,
			"owner: is required: the team or person who answers for it",
			`protocol: "udp" is not one of http, http2, grpc, tcp`,
			"port: 70000 is not a port: use 1 to 65535",
			`dependencies[1]: "a" is listed already, as dependencies[0]`,
			`dependencies[2]: "B" is not a DNS label: use lower-case letters, digits and inner hyphens`}},
		"a tier and why it is deprecated": {func(s *mesh.Service) { s.Tier, s.Deprecated = 4, "zu alt; nimm „Bücher“" }, nil},
		"no such tier":                    {func(s *mesh.Service) { s.Tier = 5 }, []string{"tier: 5 is not a tier: use 1 (most critical) to 4 (least), or leave it out"}},
		"a negative tier":                 {func(s *mesh.Service) { s.Tier = -1 }, []string{"tier: -1 is not a tier: use 1 (most critical) to 4 (least), or leave it out"}},
		"deprecated on two lines": {func(s *mesh.Service) { s.Deprecated = "use billing\ninstead" }, []string{
			"deprecated: has to say on one line why, and what to use instead; leave it out if the service is not deprecated"}},
		"deprecated for no reason": {func(s *mesh.Service) { s.Deprecated = " " }, []string{
			"deprecated: has to say on one line why, and what to use instead; leave it out if the service is not deprecated"}},
		"deprecated at length": {func(s *mesh.Service) { s.Deprecated = strings.Repeat("a", 1025) }, []string{"deprecated: has 1025 bytes; at most 1024 are allowed"}},
		"64 characters":        {func(s *mesh.Service) { s.Name = mesh.ServiceName(strings.Repeat("a", 64)) }, []string{"name: has 64 characters; a DNS label has at most 63"}},
		"unicode":              {func(s *mesh.Service) { s.Name = "bücher" }, []string{`name: "b\u00fccher" is not a DNS label: use lower-case letters, digits and inner hyphens`}},
		"a reserved name":      {func(s *mesh.Service) { s.Name = mesh.NoBackend }, []string{"name: is reserved: routes of the Gateway API name it where they have no backend"}},
		"a path as a name":     {func(s *mesh.Service) { s.Name = "../tokens" }, []string{`name: "../tokens" is not a DNS label: use lower-case letters, digits and inner hyphens`}},
		"dns and static": {func(s *mesh.Service) {
			s.Endpoints = mesh.Endpoints{DNS: dns, Static: []mesh.StaticEndpoint{{Address: "10.0.0.1", Port: 80}}}
		}, []string{"endpoints: has both dns and static: choose one, or neither for registered instances"}},
		"a name as an address": {func(s *mesh.Service) { s.Endpoints.Static = []mesh.StaticEndpoint{{Address: "db.example", Port: 80}} }, []string{`endpoints.static[0].address: "db.example" is not an IP address; for a host name use endpoints.dns`}},
		"addresses nobody can call": {func(s *mesh.Service) {
			s.Endpoints.Static = []mesh.StaticEndpoint{{Address: "0.0.0.0", Port: 80}, {Address: "ff02::1", Port: 80}}
		}, []string{
			`endpoints.static[0].address: "0.0.0.0" stands for every address of a machine, where one can listen: give the one that callers connect to`,
			`endpoints.static[1].address: "ff02::1" is a multicast address: give the one that callers connect to`}},
		"an address as a name": {func(s *mesh.Service) { s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "10.0.0.1"} }, []string{`endpoints.dns.host: "10.0.0.1" is an IP address; use endpoints.static`}},
		"a cut address":        {func(s *mesh.Service) { s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "10.0.0"} }, []string{`endpoints.dns.host: "10.0.0" is not an IP address or host name`}},
		"subset not declared": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{To: []mesh.WeightedSubset{{Subset: "v9", Weight: 1}}}}
		}, []string{`routes[0].to[0].subset: "v9" is not in subsets`}},
		"weights all 0": {func(s *mesh.Service) {
			s.Subsets = v2
			s.Routes = []mesh.RouteRule{{To: []mesh.WeightedSubset{{Subset: "v2"}}}}
		}, []string{"routes[0].to: has only weights of 0: at least one has to be above it"}},
		"unreachable rule": {func(s *mesh.Service) { s.Routes = []mesh.RouteRule{{}, {}} }, []string{"routes[0].match: matches every request, so the rules behind it are never reached: move it to the end"}},
		"routes on tcp":    {func(s *mesh.Service) { s.Protocol = mesh.TCP; s.Routes = []mesh.RouteRule{{}} }, []string{"routes: are for http, http2 and grpc: a TCP connection has no requests to match"}},
		"a query that nobody sends": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Query: []mesh.QueryMatch{
				{}, {Name: "a=b"}, {Name: "a", Exact: "b c"}, {Name: "a", Prefix: "ü"}, {Name: "a", Exact: "b", Regex: "("}, {Name: "a[]", Exact: "%20=+"},
			}}}}
		}, []string{
			`routes[0].match.query[0].name: is required: the name of a parameter, such as "beta"`,
			`routes[0].match.query[1].name: "a=b" never stands in a query: write it as in a request, with escapes (%20) for spaces and all but printable ASCII, without any of "=&#+", and in at most 1024 bytes`,
			`routes[0].match.query[2].exact: "b c" never stands in a query: write it as in a request, with escapes (%20) for spaces and all but printable ASCII, without any of "&#", and in at most 1024 bytes`,
			`routes[0].match.query[3].prefix: "\u00fc" never stands in a query: write it as in a request, with escapes (%20) for spaces and all but printable ASCII, without any of "&#", and in at most 1024 bytes`,
			"routes[0].match.query[4]: wants at most one of exact, prefix and regex",
			"routes[0].match.query[4].regex: is not a regular expression (RE2): error parsing regexp: missing closing ): `(`",
		}},
		"a query before the last": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Query: []mesh.QueryMatch{{Name: "a"}}}}, {}}
		}, nil},
		"bad regex": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: "("}}}}
		}, []string{"routes[0].match.path.regex: is not a regular expression (RE2): error parsing regexp: missing closing ): `(`"}},
		"regex of Go alone": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: `\x{100}`}, Headers: []mesh.HeaderMatch{{Name: "x", Regex: `\p{Letter}`}}}}}
		}, []string{
			`routes[0].match.path.regex: is not a regular expression (RE2): it does not know "\\x{100}"; write the character itself, or a class such as \p{Greek} or \pL`,
			`routes[0].match.headers[0].regex: is not a regular expression (RE2): it does not know "\\p{Letter}"; write the character itself, or a class such as \p{Greek} or \pL`,
		}},
		"huge regex": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: `(..){1000}`}}}}
		}, []string{"routes[0].match.path.regex: is too large: once compiled it may need 28002 instructions, and 20000 are allowed; repeat less, or match fewer kinds of characters"}},
		"regex huge by form": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Regex: "(" + strings.Repeat("ab", 490) + "){0,1000}"}}}}
		}, []string{"routes[0].match.path.regex: is too large: once compiled it may need 982000 instructions, and 20000 are allowed; repeat less, or match fewer kinds of characters"}},
		"too many targets": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{To: make([]mesh.WeightedSubset, 52)}}
		}, []string{"routes[0].to: has 52 entries; at most 51 are allowed: each subset once, and all instances"}},
		"too many methods": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Methods: make([]string, 65)}}}
		}, []string{"routes[0].match: has more than 64 methods, headers or parameters of the query"}},
		"static subsets": {func(s *mesh.Service) {
			s.Subsets, s.Endpoints.Static = v2, []mesh.StaticEndpoint{{Address: "192.0.2.1", Port: 80}}
		}, []string{"subsets: cannot be used with dns or static endpoints, which carry no labels: register instances instead"}},
		"gRPC asked over HTTP/1.1": {func(s *mesh.Service) { s.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckGRPC} }, []string{
			"healthCheck.type: grpc needs the protocol grpc or http2, and the service speaks http: use http or tcp"}},
		"resolver without a port": {func(s *mesh.Service) {
			s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "a.example", Resolvers: []string{"10.0.0.2:0", "[fe80::1%eth0]:53"}}
		}, []string{
			`endpoints.dns.resolvers[0]: "10.0.0.2:0" is not an address with a port, such as 10.0.0.2:53`,
			`endpoints.dns.resolvers[1]: "[fe80::1%eth0]:53" is not an address with a port, such as 10.0.0.2:53`,
		}},
		"a zone's name in the name": {func(s *mesh.Service) { s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "fe80::1%a b"} }, []string{
			`endpoints.dns.host: "fe80::1%a b" is not an IP address or host name`}},
		"star before an address": {func(s *mesh.Service) {
			s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "a.example"}
			s.Traffic.TLS = &mesh.UpstreamTLS{SubjectAltNames: []string{"*.a.example", "*.10.0.0.1"}}
		}, []string{`traffic.tls.subjectAltNames[1]: "*.10.0.0.1" puts a star before an address: only host names have them`}},
		"certificate cut off": {func(s *mesh.Service) {
			s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "a.example"}
			s.Traffic.TLS = &mesh.UpstreamTLS{CA: "-----BEGIN CERTIFICATE-----\nMIIB"}
		}, []string{"traffic.tls.ca: has no PEM block of type CERTIFICATE at place 1"}},
		"two kinds of path": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Exact: "/a", Prefix: "/b"}}}}
		}, []string{"routes[0].match.path: wants exactly one of exact, prefix and regex"}},
		"paths that never match": {func(s *mesh.Service) {
			for _, path := range []string{"/a/../b", "/a/.", `/a\b`, "/%41", "/a%2Fb", "/...//a.b%20"} {
				s.Routes = append(s.Routes, mesh.RouteRule{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: path}}})
			}
		}, []string{never(0, "/a/../b"), never(1, "/a/."), never(2, `/a\\b`), never(3, "/%41")}},
		"unreachable behind slashes": {func(s *mesh.Service) {
			s.Routes = []mesh.RouteRule{{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "//"}}}, {}}
		}, []string{"routes[0].match: matches every request, so the rules behind it are never reached: move it to the end"}},
		"caller policy": {func(s *mesh.Service) { s.Access.Callers = "all" }, []string{`access.callers: "all" is not one of open, approved`}},
		"mtls":          {func(s *mesh.Service) { s.Access.MTLS = "off" }, []string{`access.mtls: "off" is not one of permissive, strict`}},
		"approved callers": {func(s *mesh.Service) {
			s.Access.Callers, s.Access.Approved = "approved", []string{"web", "Web", "gateway/edge", "web"}
		}, []string{`access.approved[1]: "Web" is not a DNS label: use lower-case letters, digits and inner hyphens`, `access.approved[3]: "web" is in access.approved[0] already`}},
		"approved, but open":  {func(s *mesh.Service) { s.Access.Approved = []string{"web"} }, []string{`access.approved: is for callers: approved; without that, whoever declares the service may call it`}},
		"enforcement":         {func(s *mesh.Service) { s.Access.Enforcement = "off" }, []string{`access.enforcement: "off" is not one of observe, warn, deny`}},
		"tls inside the mesh": {func(s *mesh.Service) { s.Traffic.TLS = &mesh.UpstreamTLS{} }, []string{"traffic.tls: is for services outside the mesh: they have dns or static endpoints"}},
		"timeout and none":    {func(s *mesh.Service) { s.Traffic.Timeout, s.Traffic.NoTimeout = mesh.Duration(time.Second), true }, []string{"traffic.noTimeout: contradicts timeout: give only one of them"}},
		"negative timeout":    {func(s *mesh.Service) { s.Traffic.Timeout = mesh.Duration(-1) }, []string{"traffic.timeout: -1ns is out of range: use 1ms to 24h"}},
		"unknown retry":       {func(s *mesh.Service) { s.Traffic.Retries = &mesh.Retries{Attempts: 11, On: []string{"always"}} }, []string{"traffic.retries.attempts: 11 is out of range: use 0 to 10", `traffic.retries.on[0]: "always" is not a retry condition: use 5xx, gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, refused-stream, http3-post-connect-failure, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := goodDeclaration()
			c.change(&s)
			if diff := cmp.Diff(c.want, texts(s.Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHostHeaders(t *testing.T) {
	cases := map[string]string{
		"a.example": "", "a.example:8443": "", "10.0.0.1": "", "10.0.0.1:80": "", "[2001:db8::1]": "", "[2001:db8::1]:80": "",
		"a.example:":         `"a.example:" ends with "", which is not a port: use 1 to 65535, or leave it out`,
		"a.example:70000":    `"a.example:70000" ends with "70000", which is not a port: use 1 to 65535, or leave it out`,
		"a:80\r\nx: y":       `"a:80\r\nx: y" ends with "80\r\nx: y", which is not a port: use 1 to 65535, or leave it out`,
		"a b":                `"a b" is not an IP address or host name`,
		":80":                "is required: an IP address or a host name",
		"2001:db8::1":        `"2001:db8::1" needs brackets: [2001:db8::1]`,
		"fe80::1%\r\nx: y":   `"fe80::1%\r\nx: y" needs brackets: [fe80::1]`,
		"[fe80::1%\n]":       `"fe80::1%\n" is not an IP address or host name`,
		"[2001:db8::1":       `"[2001:db8::1" is not an IPv6 address in brackets, such as [2001:db8::1] or [2001:db8::1]:8443`,
		"[2001:db8::1]x":     `"[2001:db8::1]x" is not an IPv6 address in brackets, such as [2001:db8::1] or [2001:db8::1]:8443`,
		"[a.example]":        `"[a.example]" is not an IPv6 address in brackets, such as [2001:db8::1] or [2001:db8::1]:8443`,
		"[2001:db8::1]:\x00": `"[2001:db8::1]:\x00" ends with "\x00", which is not a port: use 1 to 65535, or leave it out`,
	}
	for header, want := range cases {
		s := goodDeclaration()
		s.Traffic.HostHeader = header
		var wanted []string
		if want != "" {
			wanted = []string{"traffic.hostHeader: " + want}
		}
		if diff := cmp.Diff(wanted, texts(s.Validate())); diff != "" {
			t.Errorf("%q: %s", header, diff)
		}
	}
}

func TestInstanceValidation(t *testing.T) {
	good := mesh.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.7", Port: 8080}
	cases := map[string]struct {
		change func(*mesh.Instance)
		want   []string
	}{
		"good":             {func(*mesh.Instance) {}, nil},
		"IPv6":             {func(i *mesh.Instance) { i.Address = "2001:db8::1" }, nil},
		"cut address":      {func(i *mesh.Instance) { i.Address = "10.0.0" }, []string{`address: "10.0.0" is not an IP address`}},
		"zone in address":  {func(i *mesh.Instance) { i.Address = "fe80::1%eth0" }, []string{`address: "fe80::1%eth0" is not an IP address`}},
		"a path as an ID":  {func(i *mesh.Instance) { i.ID = "../x" }, []string{`id: "../x" has a character that is not allowed: use letters, digits, and inner "-", "_", ".", ":"`}},
		"no ID, no port":   {func(i *mesh.Instance) { i.ID, i.Port = "", 0 }, []string{"id: is required", "port: is required: a port from 1 to 65535"}},
		"internal health":  {func(i *mesh.Instance) { i.Health = mesh.Removed }, []string{`health: "removed" is not one of healthy, draining, unhealthy`}},
		"negative weight":  {func(i *mesh.Instance) { i.Weight = -1 }, []string{"weight: -1 is out of range: use 0 to 1000"}},
		"control in label": {func(i *mesh.Instance) { i.Labels = map[string]string{"v": "\x00"} }, []string{"labels.v: has control characters"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			i := good
			c.change(&i)
			if diff := cmp.Diff(c.want, texts(i.Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRouteValidation(t *testing.T) {
	good := mesh.Route{Name: "shop", Owner: "shop", Hosts: []string{"*.example.com"}, Backends: []mesh.WeightedBackend{{Service: "web", Weight: 1}}}
	if faults := good.Validate(); len(faults) > 0 {
		t.Error(faults)
	}
	bad := mesh.Route{Name: "shop", Owner: "shop", Hosts: []string{"*."}, Backends: []mesh.WeightedBackend{{Service: "Web"}}, Rewrite: "x"}
	want := []string{
		`hosts[0]: is required: an IP address or a host name`,
		`backends[0].service: "Web" is not a DNS label: use lower-case letters, digits and inner hyphens`,
		"backends: has only weights of 0: at least one has to be above it",
		`rewrite: "x" has to begin with "/"`,
		"rewrite: needs a match on an exact path or a path prefix, which it replaces",
	}
	if diff := cmp.Diff(want, texts(bad.Validate())); diff != "" {
		t.Error(diff)
	}
}

func TestRuntimeAndProxyValidation(t *testing.T) {
	runtime := mesh.Runtime{Values: map[string]any{"a b": 1.0, "list": []any{}, "ok": true}, TTL: mesh.Duration(time.Second)}
	if diff := cmp.Diff([]string{"ttl: 1s is out of range: use 5s to 24h", `values: "a b" is not a runtime key: use printable ASCII without spaces`, "values.list: wants a number, a string or a boolean"}, texts(runtime.Validate())); diff != "" {
		t.Error(diff)
	}
	proxy := mesh.Proxy{Service: "web", Instance: "web-1", OutboundAddress: "localhost", AppPort: -1, DependencyPorts: map[mesh.ServiceName]mesh.Port{"ledger": 0}}
	want := []string{`appPort: -1 is not a port: use 1 to 65535`, `outboundAddress: "localhost" is not an IP address`, "dependencyPorts.ledger: is required: a port from 1 to 65535"}
	if diff := cmp.Diff(want, texts(proxy.Validate())); diff != "" {
		t.Error(diff)
	}
	unknown := mesh.Proxy{Service: "web", Instance: "web-1", Profile: "grpc"}
	if diff := cmp.Diff([]string{`profile: "grpc" is not known; leave it out for an Envoy beside a service, or say "proxyless", "gateway" or "host"`}, texts(unknown.Validate())); diff != "" {
		t.Error(diff)
	}
	const envoys = ": is for an Envoy, and a proxyless client has none: leave it out"
	proxyless := mesh.Proxy{
		Service: "web", Instance: "web-1", Profile: mesh.Proxyless, InboundAddress: "0.0.0.0", InboundPort: 80, AppAddress: "127.0.0.1", AppPort: 80,
		OutboundAddress: "127.0.0.1", OutboundPort: 15001, DependencyPorts: map[mesh.ServiceName]mesh.Port{"ledger": 1}, Identity: true,
	}
	want = []string{"inboundAddress" + envoys, "inboundPort" + envoys, "appAddress" + envoys, "appPort" + envoys, "outboundAddress" + envoys, "outboundPort" + envoys, "dependencyPorts" + envoys, "identity" + envoys}
	if diff := cmp.Diff(want, texts(proxyless.Validate())); diff != "" {
		t.Error(diff)
	}
}

func TestKindsSurviveWrapping(t *testing.T) {
	err := fmt.Errorf("while applying: %w", mesh.Conflict("service %q changed", "web"))
	if mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("got %q", mesh.KindOf(err))
	}
	if mesh.KindOf(fmt.Errorf("plain")) != "" {
		t.Error("a plain error has no kind")
	}
}

// An instance that says 0.0.0.0 sends its callers to themselves.
func TestInstancesAreWhereCallersCanConnect(t *testing.T) {
	for address, good := range map[string]bool{
		"10.0.0.7": true, "127.0.0.1": true, "::1": true, "fd00::1": true,
		"0.0.0.0": false, "::": false, "::ffff:0.0.0.0": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
	} {
		instance := mesh.Instance{Service: "orders", ID: "o-1", Address: address, Port: 80}
		if faults := instance.Validate(); (len(faults) == 0) != good {
			t.Errorf("%s: %v", address, faults)
		} else if len(faults.OfStored()) > 0 {
			t.Errorf("%s: one that is stored cannot be used: %v", address, faults)
		}
	}
}

// Only rules about new writes are waived for what is stored.
func TestWhatIsStoredCannotBeAnything(t *testing.T) {
	for name, instance := range map[string]mesh.Instance{
		"no address":   {Service: "orders", ID: "o-1", Port: 80},
		"a host name":  {Service: "orders", ID: "o-1", Address: "orders.example", Port: 80},
		"a zone":       {Service: "orders", ID: "o-1", Address: "ff02::1%eth0", Port: 80},
		"no port":      {Service: "orders", ID: "o-1", Address: "0.0.0.0"},
		"not a label":  {Service: "Orders", ID: "o-1", Address: "0.0.0.0", Port: 80},
		"its weight":   {Service: "orders", ID: "o-1", Address: "10.0.0.1", Port: 80, Weight: -1},
		"not a health": {Service: "orders", ID: "o-1", Address: "10.0.0.1", Port: 80, Health: "fine"},
	} {
		if faults := instance.Validate().OfStored(); len(faults) != 1 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestTheCaseOfATagsNameDoesNotMatter(t *testing.T) {
	vm := mesh.VM{Tags: map[string]string{"Role": "a", "ROLE": "b", "zone": "", "exact": "x", "Exact": "y"}}
	for name, want := range map[string]string{"role": "b", "Role": "a", "exact": "x", "EXACT": "y", "zone": ""} {
		if got, is := vm.Tag(name); got != want || !is {
			t.Errorf("%s is %q, %t; want %q", name, got, is, want)
		}
	}
	if got, is := vm.Tag("none"); got != "" || is {
		t.Errorf("one that is not there is %q, %t", got, is)
	}
}
