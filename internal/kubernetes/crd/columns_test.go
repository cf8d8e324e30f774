package crd_test

import (
	"os"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// kubectl get prints what people can read: the first host, and all of them with -o wide.
func TestTheColumnsOfARoute(t *testing.T) {
	cluster := kubetest.Shared(t)
	text, err := os.ReadFile("../../../api/crds/meshroutes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cluster.Apply(t, string(text))
	namespace := cluster.Namespace(t)
	cluster.Apply(t, "apiVersion: heddle.io/v1alpha1\nkind: MeshRoute\nmetadata: {name: columns, namespace: "+namespace+"}\nspec: {owner: shop, hosts: [a.example, b.example], backends: [{service: web, weight: 1}]}\n")
	out, err := cluster.Kubectl(t, "", "get", "-n", namespace, "meshroutes")
	lines := strings.Split(out, "\n")
	if err != nil || len(lines) < 2 || strings.Join(strings.Fields(lines[0])[:3], " ") != "NAME OWNER HOST" || strings.Join(strings.Fields(lines[1])[:3], " ") != "columns shop a.example" || strings.Contains(out, "[") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = cluster.Kubectl(t, "", "get", "-n", namespace, "meshroutes", "-o", "wide"); err != nil || !strings.Contains(out, "b.example") {
		t.Errorf("%v\n%s", err, out)
	}
}
