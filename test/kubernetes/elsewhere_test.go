package kubernetes_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	manifests "github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func takes(name, namespace, clusters, pods string) string {
	return strings.NewReplacer("NAME", name, "FROM", namespace, "CLUSTERS", clusters, "PODS", pods).Replace(`
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: NAME, namespace: FROM}
spec: {owner: team-x, protocol: http, port: 80, dependencies: [], endpoints: {kubernetes: {clusters: [CLUSTERS], namespace: PODS, service: victim}}}
`)
}

// Whoever writes a MeshService in one namespace does not get the pods of another, unless
// the annotation of the first says so.
func TestPodsOfAnotherNamespaceAreNotTaken(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	from, victim := c.Namespace(t), c.Namespace(t)
	condition := func(name, want string) {
		t.Helper()
		awaits(t, "have "+name+" "+want, func() (bool, string) {
			out, err := c.Kubectl(t, "", "get", "-n", from, "meshservice/"+name, "-o", `jsonpath={.status.conditions[?(@.type=="Accepted")].status} {.status.conditions[?(@.type=="Accepted")].reason} {.status.conditions[?(@.type=="Accepted")].message}`)
			return err == nil && strings.HasPrefix(out, want), out
		})
	}
	annotate := func(value string) {
		t.Helper()
		if out, err := c.Kubectl(t, "", "annotate", "--overwrite", "namespace", from, value); err != nil {
			t.Fatal(out, err)
		}
	}
	// The operator alone, as where the policy is not installed.
	c.Apply(t, takes("taker", from, "prod", victim)+"---"+takes("far-taker", from, "stage", from)+"---"+takes("own", from, "prod", from))
	condition("own", "True")
	condition("taker", "False NotPermitted endpoints.kubernetes name the pods of "+victim)
	condition("far-taker", "False NotPermitted endpoints.kubernetes name the pods of stage/"+from)
	for _, name := range []mesh.ServiceName{"taker", "far-taker"} {
		if _, err := w.api.Service(t.Context(), name); mesh.KindOf(err) != mesh.KindNotFound {
			t.Errorf("%s is in the registry: %v", name, err)
		}
	}
	annotate("heddle.io/endpoints-in=elsewhere, " + victim + ",stage/" + from)
	condition("taker", "True")
	condition("far-taker", "True")
	annotate("heddle.io/endpoints-in-")
	condition("taker", "False NotPermitted")
	if _, err := w.api.Service(t.Context(), "taker"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("it is in the registry still: %v", err)
	}

	// And the API server, by the policy of the manifests.
	for _, component := range manifests.Objects(manifests.Options{}) {
		if component.Name == "policy" {
			applyUntilTheEnd(t, w, component.Objects)
		}
	}
	awaits(t, "be refused by the policy", func() (bool, string) {
		out, err := c.Kubectl(t, takes("another", from, "prod", victim), "apply", "--server-side", "--dry-run=server", "-f", "-")
		return err != nil && strings.Contains(err.Error(), "the pods of namespace "+victim+" are not for namespace "+from), out
	})
	for name, text := range map[string]string{"its own": takes("fine", from, "prod", from), "nothing said": strings.ReplaceAll(orders(from), "name: orders", "name: fine")} {
		if out, err := c.Kubectl(t, text, "apply", "--server-side", "--dry-run=server", "-f", "-"); err != nil {
			t.Errorf("%s: %s %v", name, out, err)
		}
	}
	if out, err := c.Kubectl(t, "", "label", "-n", from, "meshservice/taker", "a=b"); err != nil { // what is stored is not held up
		t.Error(out, err)
	}
	annotate("heddle.io/endpoints-in= other , " + victim)
	awaits(t, "be let through as the annotation says", func() (bool, string) {
		out, err := c.Kubectl(t, takes("another", from, "prod", victim), "apply", "--server-side", "--dry-run=server", "-f", "-")
		return err == nil, out
	})
	if out, err := c.Kubectl(t, "", "delete", "-n", from, "meshservice", "--all", "--timeout=60s"); err != nil {
		t.Error(out, err)
	}
}

func applyUntilTheEnd(t *testing.T, w *world, objects []runtime.Object) {
	t.Helper()
	text, err := manifests.YAML(objects)
	if err != nil {
		t.Fatal(err)
	}
	w.cluster.Apply(t, string(text))
	t.Cleanup(func() {
		if _, err := w.cluster.Kubectl(t, string(text), "delete", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
}
