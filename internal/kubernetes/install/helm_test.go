package install

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

const chart = deploy + "/helm/heddle"

// helm runs the real Helm and gives what it prints; what it says of a failure is in
// the error.
func helm(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	program, err := filepath.Abs("../../../.tools/bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("no Helm: run hack/tools.sh helm")
	}
	home := t.TempDir()
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Env = append(os.Environ(), "HOME="+home, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	var output, faults bytes.Buffer
	command.Stdout, command.Stderr = &output, &faults
	if err := command.Run(); err != nil {
		return output.String(), fmt.Errorf("helm %s: %w: %s%s", strings.Join(arguments, " "), err, faults.String(), output.String())
	}
	return output.String(), nil
}

// set are the flags of Helm that set values.
func set(values ...string) (flags []string) {
	for _, one := range values {
		flags = append(flags, "--set", one)
	}
	return flags
}

// Values of the chart, and the options that mean the same.
var sameValues = map[string]struct {
	namespace string
	values    []string
	o         Options
}{
	"as it comes":                {"heddle-system", []string{"cluster=dev"}, Options{Cluster: "dev"}},
	"another namespace":          {"mesh", []string{"cluster=dev"}, Options{Cluster: "dev"}},
	"another image":              {"mesh", []string{"cluster=dev", "image=heddle@sha256:00"}, Options{Cluster: "dev", Image: "heddle@sha256:00"}},
	"one server, said":           {"mesh", []string{"cluster=dev", "server.replicas=1"}, Options{Cluster: "dev", Servers: 1}},
	"no injector":                {"mesh", []string{"cluster=dev", "webhook.enabled=false"}, Options{Cluster: "dev", NoInjector: true}},
	"hosts without nft and IPv6": {"mesh", []string{"cluster=dev", "webhook.iptables=legacy", "webhook.ipv6=false"}, Options{Cluster: "dev", Iptables: "legacy", InterceptIPv6: "false"}},
	"a gateway":                  {"mesh", []string{"cluster=dev", "gateway.enabled=true"}, Options{Cluster: "dev", Gateway: true}},
	"servers with etcd outside":  {"mesh", []string{"cluster=dev", "etcd.endpoints=https://e:2379", "server.replicas=5"}, Options{Cluster: "dev", EtcdEndpoints: "https://e:2379", Servers: 5}},
	"AuthZ with a Redis":         {"mesh", []string{"cluster=dev", "etcd.endpoints=https://e:2379", "authz.enabled=true"}, Options{Cluster: "dev", EtcdEndpoints: "https://e:2379", Authz: true}},
	"AuthZ with a Redis outside": {"mesh", []string{"cluster=dev", "etcd.endpoints=https://e:2379", "authz.enabled=true", "authz.redis=r:6380"}, Options{Cluster: "dev", EtcdEndpoints: "https://e:2379", Authz: true, Redis: "r:6380"}},
	"all parts": {"mesh", []string{
		"cluster=prod", "image=heddle:2", `etcd.endpoints=https://a:2379\,https://[fd00::1]:2390\,https://c:2379`, "server.replicas=3", "operator.replicas=3",
		"webhook.failurePolicy=Ignore", "authz.enabled=true", "gateway.enabled=true",
	}, Options{
		Cluster: "prod", Image: "heddle:2", EtcdEndpoints: "https://a:2379,https://[fd00::1]:2390,https://c:2379", Servers: 3, Operators: 3,
		FailurePolicy: admissionregistrationv1.Ignore, Authz: true, Gateway: true,
	}},
}

// The chart makes the same objects as heddle operator install, and the real API server
// takes each.
func TestTheChartAgrees(t *testing.T) {
	cluster := kubetest.Shared(t)
	for name, test := range sameValues {
		t.Run(name, func(t *testing.T) {
			test.o.Namespace = test.namespace
			out, err := helm(t, append(set(test.values...), "template", "mesh", chart, "-n", test.namespace, "--include-crds")...)
			if err != nil {
				t.Fatal(err)
			}
			text, err := Print(test.o)
			if err != nil {
				t.Fatal(err)
			}
			want := byName(t, string(text))
			delete(want, "Namespace "+test.namespace) // Helm's user makes it
			if diff := cmp.Diff(want, byName(t, out)); diff != "" {
				t.Error(diff)
			}
			cluster.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+test.namespace+", labels: {pod-security.kubernetes.io/warn: restricted}}}")
			if _, err := cluster.Kubectl(t, out, taken...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLint(t *testing.T) {
	for _, values := range [][]string{nil, sameValues["all parts"].values} {
		if out, err := helm(t, append(set(values...), "lint", "--strict", chart)...); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// What cannot be is refused before anything is made, and the error says which value.
func TestWrongValues(t *testing.T) {
	for wrong, want := range map[string]string{
		"":                                                     "cluster is missing: the name that this cluster has in the mesh",
		"cluster=Prod":                                         "at '/cluster'",
		"cluster=a,replicas=3":                                 "additional properties 'replicas' not allowed",
		"cluster=a,server.replicas=three":                      "at '/server/replicas': got string, want integer",
		"cluster=a,server.replicas=2":                          "server.replicas needs etcd.endpoints",
		"cluster=a,server.replicas=-1":                         "at '/server/replicas': minimum: got -1, want 0",
		"cluster=a,operator.replicas=0":                        "at '/operator/replicas': minimum: got 0, want 1",
		"cluster=a,operator.apiPort=70000":                     "at '/operator/apiPort': maximum: got 70,000, want 65,535",
		"cluster=a,etcd.endpoints=http://e:1":                  "at '/etcd/endpoints': 'http://e:1' does not match pattern",
		"cluster=a,etcd.endpoints=https://e":                   "at '/etcd/endpoints'",
		"cluster=a,authz.enabled=true":                         "authz.enabled needs etcd.endpoints",
		"cluster=a,webhook.enabled=false,gateway.enabled=true": "they join the mesh at the operator",
		"cluster=a,webhook.enabled=false,authz.enabled=true,etcd.endpoints=https://e:2379": "they join the mesh at the operator",
		"cluster=a,authz.redis=nowhere":      "at '/authz/redis'",
		"cluster=a,webhook.failurePolicy=No": "at '/webhook/failurePolicy': value must be one of 'Fail', 'Ignore'",
		"cluster=a,webhook.enabled=maybe":    "at '/webhook/enabled': got string, want boolean",
		"cluster=a,image=":                   "at '/image'",
		"cluster=a,image=a b":                "at '/image'",
		"cluster=a,webhook.iptables=bpf":     "at '/webhook/iptables': value must be one of 'default', 'nft', 'legacy'",
		"cluster=a,webhook.ipv6=off":         "at '/webhook/ipv6': got string, want boolean",
	} {
		if _, err := helm(t, "template", "mesh", chart, "--set", wrong); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// The real Helm installs, upgrades and takes away, at the real API server.
func TestARelease(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := restricted(t, cluster)
	helmDoes := func(arguments ...string) {
		t.Helper()
		if _, err := helm(t, append(arguments, "-n", namespace, "--kubeconfig", cluster.Kubeconfig)...); err != nil {
			t.Fatal(err)
		}
	}
	there := func(want string) {
		t.Helper()
		out, err := cluster.Kubectl(t, "", "get", "deployments,statefulsets,mutatingwebhookconfigurations,clusterroles", "-n", namespace, "-l", "app.kubernetes.io/managed-by!=nobody", "-o", `jsonpath={range .items[*]}{.metadata.name} {end}`)
		if err != nil {
			t.Fatal(err)
		}
		var ours []string
		for name := range strings.FieldsSeq(out) {
			if strings.HasPrefix(name, "heddle") {
				ours = append(ours, strings.TrimPrefix(name, "heddle-"))
			}
		}
		if got := strings.Join(ours, " "); got != want {
			t.Errorf("there are %q, not %q", got, want)
		}
	}
	t.Cleanup(func() { // what is of the cluster would be in other tests' way
		_, _ = helm(t, "uninstall", "mesh", "--ignore-not-found", "-n", namespace, "--kubeconfig", cluster.Kubeconfig)
	})
	helmDoes("install", "mesh", chart, "--set", "cluster=dev")
	there("operator server heddle gateway-secrets operator")
	helmDoes("upgrade", "mesh", chart, "--set", "cluster=dev,gateway.enabled=true")
	there("gateway operator server heddle gateway-secrets operator")
	helmDoes("upgrade", "mesh", chart, "--set", "cluster=dev,webhook.enabled=false")
	there("operator server gateway-secrets operator")
	helmDoes("uninstall", "mesh")
	there("")
	if _, err := cluster.Kubectl(t, "", "get", "crd", "meshservices.heddle.io"); err != nil {
		t.Errorf("the definitions, and so every custom resource, went too: %v", err)
	}
}

// What is to be done by hand is said for both forms of the server.
func TestNotes(t *testing.T) {
	for endpoints, want := range map[string]string{"": "cat /var/lib/heddle/ca-cert.pem", "https://e:2379": "cat /etc/heddle/authority/ca.crt"} {
		notes, err := helm(t, "install", "mesh", chart, "--dry-run=client", "-n", "mesh", "--set", "cluster=prod,gateway.enabled=true,etcd.endpoints="+endpoints)
		if err != nil {
			t.Fatal(err)
		}
		_, notes, _ = strings.Cut(notes, "NOTES:")
		if diff := cmp.Diff(strings.TrimSpace(Steps(Options{Namespace: "mesh", Cluster: "prod", Gateway: true, EtcdEndpoints: endpoints})), strings.TrimSpace(notes)); diff != "" {
			t.Errorf("heddle operator install says other steps than the chart:\n%s", diff)
		}
		for _, part := range []string{want, "--keeper kubernetes/prod", "-n mesh", "admin-token", "--vouch gateway/edge"} {
			if !strings.Contains(notes, part) {
				t.Errorf("%q is not in %s", part, notes)
			}
		}
		if strings.Contains(notes, "--vouch-gateways") { // for who knows what it gives away
			t.Errorf("whoever may make Gateways gets a gateway's identity by %s", notes)
		}
	}
}
