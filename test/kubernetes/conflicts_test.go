package kubernetes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// condition gives status, reason and message of a condition of an object.
func condition(t *testing.T, c *kubetest.Cluster, namespace, object, kind string) string {
	t.Helper()
	out, err := c.Kubectl(t, "", "get", "-n", namespace, object, "-o",
		`jsonpath={range .status.conditions[?(@.type=="`+kind+`")]}{.status} {.reason}: {.message}{end}`)
	return fmt.Sprint(out, err)
}

func (w *world) awaitCondition(namespace, object, kind, want string) {
	w.t.Helper()
	awaits(w.t, object+" to be "+want, func() (bool, string) {
		got := condition(w.t.(*testing.T), w.cluster, namespace, object, kind)
		return strings.HasPrefix(got, want), got
	})
}

func meshService(namespace, name, owner string) string {
	return fmt.Sprintf("apiVersion: heddle.io/v1alpha1\nkind: MeshService\nmetadata: {name: %s, namespace: %s}\nspec: {owner: %s, protocol: http, port: 80, dependencies: []}\n", name, namespace, owner)
}

// Of two objects that claim one name the older has it; the other says so, and gets it once
// it is free.
func TestTheOlderOfTwoHasTheName(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	first, second := c.Namespace(t), c.Namespace(t)
	c.Apply(t, meshService(first, "ledger", "one"))
	w.awaitCondition(first, "meshservice/ledger", "Accepted", "True Accepted")
	c.Apply(t, upstream(second, "ledger", "10.0.0.1", "80"))
	w.awaitCondition(second, "upstream/ledger", "Accepted", "False NameTaken: the service \"ledger\" is already declared by the older meshservice "+first+"/ledger")
	w.awaitCondition(first, "meshservice/ledger", "Accepted", "True Accepted")
	if out, err := c.Kubectl(t, "", "delete", "-n", first, "meshservice", "ledger"); err != nil {
		t.Fatal(out, err)
	}
	w.awaitCondition(second, "upstream/ledger", "Accepted", "True Accepted")
	stored, err := w.api.Service(t.Context(), "ledger")
	if err != nil || stored.Owner != "team-shop" {
		t.Errorf("the registry has %+v, %v", stored, err)
	}

	// Within one second of the API server's clock it is the first that was seen.
	var firsts, seconds []string
	for i := range 8 {
		firsts = append(firsts, meshService(first, fmt.Sprintf("tie-%d", i), "one"))
		seconds = append(seconds, upstream(second, fmt.Sprintf("tie-%d", i), "10.0.0.1", "80"))
	}
	c.Apply(t, strings.Join(firsts, "---\n"))
	for i := range 8 {
		w.awaitCondition(first, fmt.Sprintf("meshservice/tie-%d", i), "Accepted", "True Accepted")
	}
	c.Apply(t, strings.Join(seconds, "---\n"))
	for i := range 8 {
		w.awaitCondition(second, fmt.Sprintf("upstream/tie-%d", i), "Accepted", "False NameTaken")
		w.awaitCondition(first, fmt.Sprintf("meshservice/tie-%d", i), "Accepted", "True Accepted")
	}

	// What was declared by other ways is not taken over.
	if _, err := w.api.PutService(t.Context(), mesh.Service{Name: "old", Owner: "x", Protocol: mesh.HTTP, Port: 1, Dependencies: []mesh.ServiceName{}}); err != nil {
		t.Fatal(err)
	}
	c.Apply(t, meshService(second, "old", "two"))
	w.awaitCondition(second, "meshservice/old", "Accepted", "False NameTaken")
	if err := w.api.DeleteService(t.Context(), "old", 0); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition(second, "meshservice/old", "Accepted", "True Accepted")

	// What others may not change, they are told where to change.
	_, err = w.api.PutService(t.Context(), mesh.Service{Name: "old", Owner: "y", Protocol: mesh.HTTP, Port: 1, Dependencies: []mesh.ServiceName{}})
	if mesh.ReasonOf(err) != mesh.ReasonKept {
		t.Errorf("a kept service was changed: %v", err)
	}
}

func meshRoute(namespace, name, service string) string {
	return fmt.Sprintf("apiVersion: heddle.io/v1alpha1\nkind: MeshRoute\nmetadata: {name: %s, namespace: %s}\nspec: {owner: one, hosts: [%s.example.com], backends: [{service: %s, weight: 1}]}\n", name, namespace, name, service)
}

// Who writes MeshRoutes of a namespace exposes what is in it, and nothing else, however
// the two are ordered in time.
func TestARouteLeadsToItsNamespacesServices(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	shop, bank := c.Namespace(t), c.Namespace(t)
	c.Apply(t, meshService(bank, "vault", "one"))
	w.awaitCondition(bank, "meshservice/vault", "Accepted", "True Accepted")
	c.Apply(t, meshRoute(shop, "grab", "vault")+"---\n"+meshRoute(shop, "early", "later")+"---\n"+meshRoute(bank, "own", "vault"))
	w.awaitCondition(shop, "meshroute/grab", "Accepted", `False NotPermitted: service "vault" is not declared in namespace `+shop)
	w.awaitCondition(bank, "meshroute/own", "Accepted", "True Accepted")
	w.awaitCondition(shop, "meshroute/early", "Accepted", `False NotDeclared: service "later" is not declared yet`)
	for _, name := range []mesh.RouteName{"grab", "early"} {
		if _, err := w.api.Route(t.Context(), name); mesh.KindOf(err) != mesh.KindNotFound {
			t.Errorf("the registry has what is not permitted: %v", err)
		}
	}

	// What was not declared is judged when it is, and is not exposed before.
	c.Apply(t, meshService(bank, "later", "one"))
	w.awaitCondition(shop, "meshroute/early", "Accepted", "False NotPermitted")
	if _, err := w.api.Route(t.Context(), "early"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("the registry still has what is not permitted: %v", err)
	}
	if out, err := c.Kubectl(t, "", "delete", "-n", bank, "meshservice", "later"); err != nil {
		t.Fatal(out, err)
	}
	w.awaitCondition(shop, "meshroute/early", "Accepted", "False NotDeclared")

	// Pods of the namespace are enough, whoever declares the service.
	if _, err := w.api.PutService(t.Context(), mesh.Service{
		Name: "later", Owner: "x", Protocol: mesh.HTTP, Port: 1, Dependencies: []mesh.ServiceName{},
		Endpoints: mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: []string{w.name}, Namespace: shop}},
	}); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition(shop, "meshroute/early", "Accepted", "True Accepted")

	// A host is its namespace's, whatever owner another states.
	c.Apply(t, meshService(shop, "web", "one")+"---\n"+strings.Replace(meshRoute(shop, "taker", "web"), "taker.example.com", "own.example.com", 1))
	w.awaitCondition(shop, "meshroute/taker", "Accepted", "False Denied")
	if got := condition(t, c, shop, "meshroute/taker", "Accepted"); !strings.Contains(got, "within reach") {
		t.Errorf("the status does not say why: %s", got)
	}
}

// kubectl names the field of what is wrong; what only the model sees is in the status.
func TestBadInputIsNamed(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	_, err := c.Kubectl(t, strings.Replace(meshService(namespace, "bad", "x"), "port: 80", "port: 0", 1), "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "spec.port") {
		t.Errorf("got %v", err)
	}
	_, err = c.Kubectl(t, meshService(namespace, "dotted.name", "x"), "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "DNS label") {
		t.Errorf("got %v", err)
	}
	bad := strings.Replace(upstream(namespace, "bad", "10.0.0.1", "443"), "dependencies: []", "dependencies: []\n  traffic: {tls: {sni: a.example, ca: \"-----BEGIN CERTIFICATE-----\"}}", 1)
	c.Apply(t, bad)
	w.awaitCondition(namespace, "upstream/bad", "Accepted", "False Invalid")
	if got := condition(t, c, namespace, "upstream/bad", "Accepted"); !strings.Contains(got, "traffic.tls.ca") {
		t.Errorf("the status does not name the field: %s", got)
	}
	w.awaitCondition(namespace, "upstream/bad", "Programmed", "False NotAccepted")
	awaits(t, "have an event", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "events", "-n", namespace, "-o", "jsonpath={.items[*].reason}")
		return strings.Contains(out, "Invalid"), fmt.Sprint(out, err)
	})
}

// A namespace that is deleted takes its objects out of the mesh, and is not held up.
func TestANamespaceIsDeletedInMidFlight(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	var all []string
	for i := range 10 {
		all = append(all, meshService(namespace, fmt.Sprintf("flight-%d", i), "x"))
	}
	c.Apply(t, strings.Join(all, "---\n"))
	if out, err := c.Kubectl(t, "", "delete", "namespace", namespace, "--timeout=60s"); err != nil {
		t.Fatal(out, err)
	}
	awaits(t, "be out of the registry", func() (bool, string) {
		left, err := w.api.Services(t.Context())
		return err == nil && len(left) == 0, fmt.Sprint(len(left), err)
	})
}

// While the server is away objects wait; once it is back, all is as declared.
func TestAServerThatIsAwayIsWaitedFor(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	w.server.Kill()
	c.Apply(t, meshService(namespace, "patient", "x"))
	w.awaitCondition(namespace, "meshservice/patient", "Accepted", "Unknown ServerUnreachable")
	w.server.RunAt(map[string]string{"--listen": w.server.said["rest"]})
	w.awaitCondition(namespace, "meshservice/patient", "Accepted", "True Accepted")
}

// Of two operators one writes; when it goes without a word, the other takes over.
func TestAnotherReplicaTakesOver(t *testing.T) {
	c := cluster(t)
	w := join(t, c, "--lease-duration", "4s")
	leads := func(p *program) func() (bool, string) {
		return func() (bool, string) {
			return strings.Contains(p.Log.String(), `msg="leading`), "no word of it"
		}
	}
	awaits(t, "lead", leads(w.operator))
	second := w.newOperator("--lease-duration", "4s")
	second.awaitReady()
	if is, _ := leads(second)(); is {
		t.Fatal("both lead")
	}
	w.operator.Kill()
	awaits(t, "take over", leads(second))
	namespace := c.Namespace(t)
	c.Apply(t, meshService(namespace, "after", "x"))
	w.awaitCondition(namespace, "meshservice/after", "Accepted", "True Accepted")
}
