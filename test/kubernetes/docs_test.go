package kubernetes_test

import (
	"fmt"
	"os"
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
