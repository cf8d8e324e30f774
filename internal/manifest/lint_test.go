package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/manifest"
)

// service gives one declaration on one line.
func service(name, rest string) string {
	return "- {kind: Service, name: " + name + ", owner: t, " + rest + "}\n"
}

func TestLint(t *testing.T) {
	const http, tcp = "protocol: http, port: 80", "protocol: tcp, port: 5432"
	for name, test := range map[string]struct {
		text             string
		errors, warnings []string
	}{
		"nothing wrong": {text: service("a", http+", dependencies: [b]") + service("b", tcp+", dependencies: []")},
		"unknown dependency": {
			text:     service("a", http+", dependencies: [b]"),
			warnings: []string{`f.yaml:1: dependencies[0]: no service "b" in these files: the dependency is pending until one is declared`},
		},
		"duplicate service": {
			text:   service("a", http+", dependencies: []") + service("a", http+", dependencies: []"),
			errors: []string{"f.yaml:2: name: service/a is declared already, at f.yaml:1"},
		},
		"duplicate runtime": {
			text:   "- {kind: Runtime, values: {}}\n- {kind: Runtime, values: {}}\n",
			errors: []string{"f.yaml:2: runtime is declared already, at f.yaml:1"},
		},
		"own ports clash": {
			text: service("a", http+", dependencies: [x, y, z]") + service("x", tcp+", dependencies: []") +
				service("y", tcp+", dependencies: []") + service("z", tcp+", listenerPort: 5433, dependencies: []"),
			errors: []string{`f.yaml:1: dependencies[1]: "x" and "y" both want port 5432 on the sidecars of "a": give one of them another listenerPort`},
		},
		"own port is the HTTP port": {
			text:   service("a", http+", dependencies: [x]") + service("x", "protocol: tcp, port: 15001, dependencies: []"),
			errors: []string{`f.yaml:1: dependencies[0]: "x" wants port 15001 on the sidecars of "a", where they take their HTTP calls: give it another listenerPort`},
		},
		"instances": {
			text: service("a", http+", dependencies: [], endpoints: {dns: {host: a.example.com}}") +
				"- {kind: Instance, id: i, service: a, address: 10.0.0.1, port: 80}\n- {kind: Instance, id: i, service: b, address: 10.0.0.1, port: 80}\n",
			errors:   []string{`f.yaml:2: service: "a" has endpoints of its own (f.yaml:1), so that no instance of it can be registered`},
			warnings: []string{`f.yaml:3: service: no service "b" in these files: the instance gets no requests until one is declared`},
		},
		"backends": {
			text: service("a", http+", dependencies: [], subsets: [{name: v1, labels: {v: '1'}}]") +
				"- kind: Route\n  name: r\n  owner: t\n  hosts: [h.example.com]\n  backends:\n  - {service: a, subset: v1, weight: 1}\n  - {service: a, subset: v2, weight: 1}\n  - {service: b, weight: 1}\n",
			errors:   []string{`f.yaml:8: backends[1].subset: "v2" is not a subset of "a" (f.yaml:1)`},
			warnings: []string{`f.yaml:9: backends[2].service: no service "b" in these files: nothing is sent to it until one is declared`},
		},
		"a route's services": {
			text: service("a", tcp+", dependencies: []") +
				"- {kind: Route, name: r, owner: t, hosts: [h.example.com], backends: [{service: a, weight: 1}], mirror: {service: b}}\n",
			errors:   []string{`f.yaml:2: backends[0].service: "a" speaks tcp (f.yaml:1), and gateways serve http, http2 and grpc`},
			warnings: []string{`f.yaml:2: mirror.service: no service "b" in these files: nothing is sent to it until one is declared`},
		},
		"routes that hide each other": {
			text: "- {kind: Route, name: r, owner: t, hosts: [h.example.com, i.example.com], redirect: {host: x.example.com}}\n" +
				"- {kind: Route, name: s, owner: t, hosts: [I.example.com.], match: {path: {prefix: /}}, redirect: {host: x.example.com}}\n" +
				"- {kind: Route, name: t, owner: t, hosts: [h.example.com], match: {path: {prefix: /x}}, gateways: [one], redirect: {host: x.example.com}}\n" +
				"- {kind: Route, name: u, owner: t, hosts: [h.example.com], match: {path: {prefix: /x/}}, gateways: [two], redirect: {host: x.example.com}}\n",
			warnings: []string{`f.yaml:2: hosts[0]: route "r" (f.yaml:1) matches the same requests: whichever was created first gets them`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, faults := manifest.Parse("f.yaml", []byte(test.text))
			if len(faults) > 0 {
				t.Fatalf("faults: %q", lines(faults))
			}
			report := manifest.Lint(objects)
			if diff := cmp.Diff(test.errors, lines(report.Errors)); diff != "" {
				t.Errorf("errors: %s", diff)
			}
			if diff := cmp.Diff(test.warnings, lines(report.Warnings)); diff != "" {
				t.Errorf("warnings: %s", diff)
			}
		})
	}
}
