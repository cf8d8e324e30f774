package kubernetes_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var manifest = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// What docs/kubernetes.md shows can be applied, and comes to the mesh.
func TestThePageAboutKubernetes(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := manifest.FindAllStringSubmatch(string(page), -1)
	if len(shown) < 3 {
		t.Fatalf("the page shows %d objects", len(shown))
	}
	for _, one := range shown {
		if out, err := c.Kubectl(t, one[1], "apply", "-n", namespace, "-f", "-"); err != nil {
			t.Error(out, err)
		}
	}
	for _, object := range []string{"meshservice/orders", "upstream/payments", "meshroute/shop"} {
		if out, err := c.Kubectl(t, "", "wait", "-n", namespace, "--for=condition=Programmed", "--timeout=60s", object); err != nil {
			t.Error(out, err)
		}
	}
	awaits(t, "list all objects", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "-n", namespace, "heddle")
		return strings.Count(out, "0/0") == 3 && strings.Contains(out, "team-shop"), fmt.Sprint(out, err)
	})
	if got := w.heddle("get", "services"); !strings.Contains(got, "orders") || !strings.Contains(got, "payments") {
		t.Errorf("heddle get services: %s", got)
	}
}

// Without an operator a deletion hangs, until the finalizers are taken off as the page
// says, of what the answer is yes to.
func TestFinalizersAreTakenOff(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	c.Apply(t, meshService(namespace, "stuck", "x")+"---\n"+upstream(namespace, "stuck-too", "10.0.0.1", "80"))
	w.awaitCondition(namespace, "meshservice/stuck", "Accepted", "True Accepted")
	w.awaitCondition(namespace, "upstream/stuck-too", "Accepted", "True Accepted")
	w.operator.End()
	if out, err := c.Kubectl(t, "", "delete", "-n", namespace, "--wait=false", "meshservice/stuck", "upstream/stuck-too"); err != nil {
		t.Fatal(out, err)
	}
	path := heddle.Path(t)
	releases := func(answer string, flags ...string) (string, error) {
		command := exec.Command(path, append([]string{"operator", "release-finalizers", "--kubeconfig", c.Kubeconfig, "--namespace", namespace}, flags...)...)
		command.Stdin = strings.NewReader(answer)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	const names = "MeshService %[1]s/stuck (being deleted)\nUpstream %[1]s/stuck-too (being deleted)\n"
	for answer, flags := range map[string][]string{"": {"--dry-run"}, "no\n": nil, "y\n": nil} {
		out, err := releases(answer, flags...)
		if !strings.HasPrefix(out, fmt.Sprintf(names, namespace)) || !strings.Contains(out, "nothing was changed") || (err == nil) != (answer == "") {
			t.Errorf("%q: %v: %s", answer, err, out)
		}
	}
	if out, err := c.Kubectl(t, "", "get", "-n", namespace, "heddle", "-o", "name"); strings.Count(out, "stuck") != 2 || err != nil {
		t.Fatal(out, err)
	}
	if out, err := releases("yes\n"); err != nil || !strings.Contains(out, "taken off 2 objects") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := releases("", "--yes"); err != nil || !strings.Contains(out, "0 objects with the finalizer") {
		t.Errorf("once more: %v: %s", err, out)
	}
	awaits(t, "be gone", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "-n", namespace, "heddle", "-o", "name")
		return out == "" && err == nil, fmt.Sprint(out, err)
	})
}
