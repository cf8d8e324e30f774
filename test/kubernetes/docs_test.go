package kubernetes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

var shell = regexp.MustCompile("(?ms)^```\n(kubectl get -A .*?)^```")

// Without an operator a deletion hangs, until the finalizers are taken off as the page says.
func TestThePageTakesFinalizersOff(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	c.Apply(t, meshService(namespace, "stuck", "x")+"---\n"+upstream(namespace, "stuck-too", "10.0.0.1", "80"))
	w.awaitCondition(namespace, "meshservice/stuck", "Accepted", "True Accepted")
	w.awaitCondition(namespace, "upstream/stuck-too", "Accepted", "True Accepted")
	w.operator.end()
	if out, err := c.Kubectl(t, "", "delete", "-n", namespace, "--wait=false", "meshservice/stuck", "upstream/stuck-too"); err != nil {
		t.Fatal(out, err)
	}
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := shell.FindStringSubmatch(string(page))
	if shown == nil {
		t.Fatal("the page does not say how")
	}
	kubectl, err := filepath.Abs("../../.tools/kube/kubectl")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-c", strings.Replace(shown[1], " -A ", " -n "+namespace+" ", 1)) // and not those of other tests
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "PATH="+filepath.Dir(kubectl)+":"+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	awaits(t, "be gone", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "-n", namespace, "heddle", "-o", "name")
		return out == "" && err == nil, fmt.Sprint(out, err)
	})
}
