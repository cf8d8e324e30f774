package ui

import (
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

func options(values ...string) []form.Option {
	out := []form.Option{}
	for i := 0; i < len(values); i += 2 {
		out = append(out, form.Option{Value: values[i], Label: values[i+1]})
	}
	return out
}

// serviceFields is the form of a service. owner is how its owner is chosen, which
// depends on who asks; name stays as it is once there is one.
func serviceFields(owner form.Item, fixedName bool) []form.Item {
	return []form.Item{
		{Kind: form.Section, Label: "What it is", Items: []form.Item{
			{Kind: form.Text, Path: "name", Label: "Name", Example: "orders", Needed: true, Fixed: fixedName, Hint: "Lower-case letters, digits and hyphens. Callers reach it at http://NAME.mesh."},
			owner,
			{Kind: form.Area, Path: "description", Label: "Description", Hint: "What the service is for, in a sentence or two."},
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Choice, Path: "protocol", Label: "Protocol", Needed: true, Hint: "What the service speaks on its port.", Choices: options(
					"", "Choose…", string(mesh.HTTP), "http: HTTP/1.1, WebSockets too", string(mesh.HTTP2), "http2: HTTP/2 without TLS", string(mesh.GRPC), "grpc", string(mesh.TCP), "tcp: anything else")},
				{Kind: form.Whole, Path: "port", Label: "Port", Example: "8080", Needed: true, Hint: "Where callers dial the service."},
			}},
			{Kind: form.Choice, Path: "tier", Label: "Tier", Numeric: true, Hint: "How critical it is. A call to a less critical service is warned of.", Choices: options(
				"", "Not said", "1", "1: most critical", "2", "2", "3", "3", "4", "4: least critical")},
		}},
		{Kind: form.Section, Label: "What it calls", Hint: "Everything follows from this: what its sidecar is sent, and whom it may call.", Items: []form.Item{
			{Kind: form.Deliberate, Path: "dependencies", Label: "Dependencies", Hint: "Search for a service and add it. A name that nobody has declared yet is accepted: the call is pending until somebody does."},
		}},
		endpointFields(),
		{Kind: form.Section, Label: "Health check", Hint: "Each caller's sidecar asks each instance. Without one, an instance is healthy until it says otherwise.", Items: []form.Item{
			{Kind: form.Optional, Path: "healthCheck", Label: "Check the health of its instances", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Choice, Path: "type", Label: "How", Needed: true, Choices: options("http", "http: ask for a path", "grpc", "grpc: ask its health service", "tcp", "tcp: open a connection")},
					{Kind: form.Text, Path: "path", Label: "Path", Example: "/", Hint: "For http."},
					{Kind: form.Whole, Path: "expectedStatus", Label: "Status that is well", Example: "200", Hint: "For http."},
				}},
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Duration, Path: "interval", Label: "Every", Example: "5s"},
					{Kind: form.Duration, Path: "timeout", Label: "Timeout", Example: "1s"},
					{Kind: form.Whole, Path: "healthyThreshold", Label: "Healthy after", Example: "2", Hint: "Good answers in a row."},
					{Kind: form.Whole, Path: "unhealthyThreshold", Label: "Unhealthy after", Example: "3", Hint: "Bad ones in a row."},
				}},
			}},
		}},
		trafficFields(),
		{Kind: form.Section, Label: "Subsets and routes", Hint: "Send a share of the requests to some of the instances: canaries, versions.", Items: []form.Item{
			{Kind: form.List, Path: "subsets", Label: "Subsets", One: "Subset", Hint: "Named groups of registered instances, by their labels.", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "name", Label: "Name", Example: "v2", Needed: true},
					{Kind: form.Labels, Path: "labels", Label: "Labels", Example: "version=v2", Hint: "key=value, one a line; an instance has to carry them all."},
				}},
			}},
			{Kind: form.List, Path: "routes", Label: "Rules", One: "Rule", Hint: "Tried in order; the first that matches counts. Without a rule, or with none that matches, requests go to all instances.", Items: ruleFields()},
		}},
		accessFields(),
		{Kind: form.Section, Label: "End of life", Items: []form.Item{
			{Kind: form.Text, Path: "deprecated", Label: "Deprecated", Example: "use billing instead; switched off in March", Hint: "Why it is no longer to be called, and what to use instead. Its callers are warned; empty: it is not deprecated."},
		}},
	}
}

func endpointFields() form.Item {
	return form.Item{Kind: form.Section, Label: "Where its instances are", Items: []form.Item{
		{Kind: form.Either, Path: "endpoints", Label: "Instances", Choices: options(
			"", "Registered: each instance registers itself, with a lease", "dns", "DNS: sidecars resolve a host name", "static", "Static: a fixed list of addresses", "kubernetes", "Kubernetes: the pods behind a Kubernetes Service"), Items: []form.Item{
			{Kind: form.Section, Path: "dns", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "host", Label: "Host name", Example: "db.internal.example", Needed: true},
					{Kind: form.Whole, Path: "port", Label: "Port behind it", Hint: "Default: the service's port."},
				}},
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Choice, Path: "discovery", Label: "Addresses are", Choices: options("", "Default: strict", "strict", "strict: all of them used", "logical", "logical: one at a time")},
					{Kind: form.Choice, Path: "family", Label: "Family", Choices: options("", "Default: IPv4", "v4", "IPv4", "v6", "IPv6", "all", "Both")},
					{Kind: form.Duration, Path: "refresh", Label: "Resolve every", Example: "as the answer's TTL says"},
				}},
				{Kind: form.Lines, Path: "resolvers", Label: "DNS servers", Example: "10.0.0.2:53", Hint: "ip:port, one a line. Default: those of the sidecar's machine."},
			}},
			{Kind: form.List, Path: "static", Label: "Addresses", One: "Address", Most: 1000, Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "address", Label: "IP address", Example: "10.0.0.7", Needed: true},
					{Kind: form.Whole, Path: "port", Label: "Port", Needed: true},
					{Kind: form.Whole, Path: "weight", Label: "Weight", Example: "1", Hint: "Its share of the traffic."},
				}},
			}},
			{Kind: form.Section, Path: "kubernetes", Items: []form.Item{
				{Kind: form.Lines, Path: "clusters", Label: "Clusters", Example: "prod", Hint: "Those whose pods these are, one a line, by the names that their operators have."},
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "namespace", Label: "Namespace", Example: "shop", Needed: true},
					{Kind: form.Text, Path: "service", Label: "Kubernetes Service", Hint: "Default: the service's name."},
					{Kind: form.Text, Path: "port", Label: "Its port", Example: "http", Hint: "Name or number. Default: its only one, or the service's."},
				}},
				{Kind: form.Labels, Path: "selector", Label: "Every Kubernetes Service with these labels", Example: "app=orders", Hint: "key=value, one a line; instead of one by its name."},
				{Kind: form.Lines, Path: "serviceAccounts", Label: "Service accounts", Example: "orders", Hint: "Whose pods may join as the service, one a line. Default: those of each pod that says it is one."},
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Choice, Path: "discovery", Label: "Pods are found by", Choices: options("", "Default: endpoint slices", "endpointSlices", "endpoint slices: the operator registers them", "dns", "DNS: sidecars resolve the name")},
					{Kind: form.Text, Path: "clusterDomain", Label: "Domain of the cluster", Example: "cluster.local", Hint: "For DNS."},
				}},
			}},
		}},
		{Kind: form.Optional, Path: "endpoints.vms", Label: "It has virtual machines that sources of discovery find", Items: []form.Item{
			{Kind: form.Lines, Path: "sources", Label: "Sources", Example: "azure-prod", Needed: true, Hint: "Whose machines may be instances, one a line, by the names that the servers' settings have. Whoever can tag machines there can have calls to the service."},
			{Kind: form.Labels, Path: "tags", Label: "Machines with these tags", Example: "role=orders", Hint: "key=value, one a line. Default: those whose tag heddle-service names the service."},
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Whole, Path: "port", Label: "Port on the machines", Hint: "Of those whose tags name none. Default: the service's port."},
				{Kind: form.Choice, Path: "address", Label: "Called by their", Choices: options("", "Default: private address", "private", "private address", "public", "public address")},
			}},
		}},
		{Kind: form.Whole, Path: "listenerPort", Label: "Port of its own on callers' sidecars", Hint: "Calls by host name need none. A tcp service has one always: this, or else its port."},
	}}
}

func accessFields() form.Item {
	return form.Item{Kind: form.Section, Path: "access", Label: "Access", Hint: "Who may call it, and what becomes of calls that are not allowed.", Items: []form.Item{
		{Kind: form.Choice, Path: "callers", Label: "Callers", Choices: options("", "Default: open", "open", "open: whoever has declared that it calls this service", "approved", "approved: only those of them who are approved below")},
		{Kind: form.Names, Path: "approved", Label: "Approved callers", Hint: "Services, and gateways as gateway/NAME. For approved callers only."},
		{Kind: form.Names, Path: "refused", Label: "Refused callers", Hint: "Those that are not wanted: they wait for no approval. For approved callers only."},
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Choice, Path: "mtls", Label: "Plain text", Choices: options("", "Default: as the server says (--mtls)", "permissive", "permissive: calls without an identity are taken", "strict", "strict: callers prove who they are")},
			{Kind: form.Choice, Path: "enforcement", Label: "Calls that are not allowed", Choices: options("", "Default: deny", "observe", "observe: pass, and are logged", "warn", "warn: pass with a warning header", "deny", "deny: are refused")},
		}},
	}}
}

// ruleFields is one rule of a service's routes.
func ruleFields() []form.Item {
	return []form.Item{
		{Kind: form.Section, Path: "match", Items: matchFields()},
		{Kind: form.List, Path: "to", Label: "Where to", One: "Share", Hint: "Nothing: to all instances. Weights are shares; they need not add up to 100.", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Text, Path: "subset", Label: "Subset", Hint: "Empty: all instances."},
				{Kind: form.Whole, Path: "weight", Label: "Weight", Needed: true},
			}},
		}},
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Duration, Path: "timeout", Label: "Timeout", Hint: "Instead of the service's."},
			{Kind: form.Text, Path: "rewrite", Label: "Rewrite the path to", Hint: "Replaces the prefix that matched, or the whole of an exact path."},
		}},
		retryFields("Retry otherwise than the service says"),
		{Kind: form.Optional, Path: "mirror", Label: "Send a copy to a subset", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Text, Path: "subset", Label: "Subset", Needed: true, Hint: "Its answers are thrown away."},
				{Kind: form.Decimal, Path: "percent", Label: "Percent of the requests", Example: "100"},
			}},
		}},
	}
}

// matchFields is what requests are matched by.
func matchFields() []form.Item {
	compared := func(nothing string) []form.Option {
		return options("", nothing, "exact", "is exactly", "prefix", "begins with", "regex", "matches (RE2)")
	}
	return []form.Item{
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.OneOf, Path: "path", Label: "Path", Choices: compared("is anything"), Hint: "A prefix covers whole segments: /api is not /apix."},
			{Kind: form.Lines, Path: "methods", Label: "Methods", Example: "GET", Hint: "Any of these, one a line; empty: all."},
		}},
		{Kind: form.List, Path: "headers", Label: "Headers", One: "Header", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Text, Path: "name", Label: "Header", Example: "x-canary", Needed: true},
				{Kind: form.OneOf, Label: "Value", Choices: compared("is there")},
				{Kind: form.Flag, Path: "invert", Label: "Turn round: match when it does not"},
			}},
		}},
		{Kind: form.List, Path: "query", Label: "Query", One: "Parameter", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Text, Path: "name", Label: "Parameter", Example: "beta", Needed: true, Hint: "Of several of one name the first counts."},
				{Kind: form.OneOf, Label: "Value", Choices: compared("is there")},
			}},
		}},
	}
}
