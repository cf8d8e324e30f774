package install

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/crd"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

var update = flag.Bool("update", false, "write the manifests in deploy/ anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

const deploy = "../../../deploy"

// outside is an installation with all its parts.
func outside() Options {
	return Options{EtcdEndpoints: "https://etcd-0.example.com:2379,https://etcd-1.example.com:2379", Authz: true, Gateway: true, Cluster: ClusterPlaceholder}
}

// The files in deploy/ are what the code makes.
func TestManifestsAreUpToDate(t *testing.T) {
	base, err := Kustomization(Options{Cluster: ClusterPlaceholder})
	if err != nil {
		t.Fatal(err)
	}
	full, err := Kustomization(outside())
	if err != nil {
		t.Fatal(err)
	}
	chart, err := Chart()
	if err != nil {
		t.Fatal(err)
	}
	crds, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	for folder, files := range map[string]map[string][]byte{"kubernetes/base": base, "kubernetes/etcd-outside": full, "helm/heddle/templates": chart, "helm/heddle/crds": crds} {
		for name, want := range files {
			path := filepath.Join(deploy, folder, name)
			if *update {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, want, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			there, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(there), string(want)); diff != "" {
				t.Errorf("%s is not up to date: run go test ./internal/kubernetes/install -update\n%s", path, diff)
			}
		}
		there, err := filepath.Glob(filepath.Join(deploy, folder, "*.yaml"))
		if err != nil || len(there) != len(files) {
			t.Errorf("%s has %d files, and %d are made: %v", folder, len(there), len(files), err)
		}
	}
}

// documents gives what YAML says, whatever its spelling.
func documents(t *testing.T, text string) (all []any) {
	t.Helper()
	for one := range strings.SplitSeq("\n"+text, "\n---\n") {
		var fields map[string]any
		if err := yaml.Unmarshal([]byte(one), &fields); err != nil {
			t.Fatalf("%v: %s", err, one)
		}
		if len(fields) > 0 {
			all = append(all, fields)
		}
	}
	return all
}

// byName gives documents by what they are and are called, in whatever order they come.
func byName(t *testing.T, text string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, one := range documents(t, text) {
		fields := one.(map[string]any)
		name := fmt.Sprint(fields["kind"], " ", fields["metadata"].(map[string]any)["name"])
		if all[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		all[name] = one
	}
	return all
}

// The real API server takes every object, with strict validation, and finds no pod
// that asks for more than the namespace admits.
func TestTheAPIServerTakesEach(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := restricted(t, cluster)
	shared := outside()
	shared.Redis = "redis.example.com:6379"
	for name, o := range map[string]Options{"etcd inside": {Cluster: "prod"}, "etcd outside": outside(), "Redis outside": shared, "no injector": {Cluster: "prod", NoInjector: true}} {
		o.Namespace = namespace
		text, err := Print(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.Kubectl(t, string(text), taken...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	loose := `{apiVersion: v1, kind: Pod, metadata: {name: loose}, spec: {containers: [{name: a, image: a}]}}`
	if _, err := cluster.Kubectl(t, loose, append(taken, "-n", namespace)...); err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a pod with more rights than ours: %v", err)
	}
}

// taken has kubectl ask whether the API server takes what it is given, and that it be strict.
var taken = []string{"apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-"}

// restricted is a namespace that admits what ours admits.
func restricted(t *testing.T, cluster *kubetest.Cluster) string {
	t.Helper()
	namespace := cluster.Namespace(t)
	for name, value := range (Options{}).namespace().Labels {
		if _, err := cluster.Kubectl(t, "", "label", "namespace", namespace, name+"="+value); err != nil {
			t.Fatal(err)
		}
	}
	return namespace
}

// The real kubectl builds the folders in deploy/kubernetes, and the API server takes them.
func TestKustomize(t *testing.T) {
	cluster := kubetest.Shared(t)
	cluster.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: heddle-system}}")
	for folder, o := range map[string]Options{"base": {Cluster: ClusterPlaceholder}, "etcd-outside": outside()} {
		built, err := cluster.Kubectl(t, "", "kustomize", filepath.Join(deploy, "kubernetes", folder))
		if err != nil {
			t.Fatal(err)
		}
		text, err := Print(o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(byName(t, string(text)), byName(t, built)); diff != "" {
			t.Errorf("%s: %s", folder, diff)
		}
		if _, err := cluster.Kubectl(t, built, taken...); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
	}
}

// Two clusters of one name would claim each other's objects.
func TestTheClusterHasToBeNamed(t *testing.T) {
	if mesh.OfCluster(ClusterPlaceholder).Fault() == "" {
		t.Errorf("the operator would take the cluster %s", ClusterPlaceholder)
	}
}

// What the definitions are for follows them: kubectl applies in this order.
func TestTheDefinitionsComeFirst(t *testing.T) {
	text, err := Print(Options{Cluster: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	for i, one := range documents(t, string(text)) {
		if is := one.(map[string]any)["kind"] == "CustomResourceDefinition"; is != (i < len(crd.All())) {
			t.Errorf("object %d is %v", i, one.(map[string]any)["kind"])
		}
	}
}

// A pod that is broken into gives away its own Secrets only. That of etcd is shared
// by those that keep something there.
func TestEachPodHoldsItsOwnSecrets(t *testing.T) {
	holders := map[string]string{}
	for _, component := range Objects(outside()) {
		for _, object := range component.Objects {
			deployment, is := object.(*appsv1.Deployment)
			if !is {
				continue
			}
			for _, volume := range deployment.Spec.Template.Spec.Volumes {
				if volume.Secret == nil || volume.Secret.SecretName == etcdSecret {
					continue
				}
				if volume.Secret.SecretName == certificates.DefaultSecret {
					if items := volume.Secret.Items; len(items) != 1 || items[0].Key != certificates.RootsKey {
						t.Errorf("%s holds more of the operator's Secret than its roots: %v", deployment.Name, items)
					}
					continue
				}
				if other := holders[volume.Secret.SecretName]; other != "" {
					t.Errorf("%s is held by %s and %s", volume.Secret.SecretName, other, deployment.Name)
				}
				holders[volume.Secret.SecretName] = deployment.Name
			}
		}
	}
	if len(holders) != 4 {
		t.Errorf("Secrets: %v", holders)
	}
}

// A gateway gets requests once it can serve them, and has the time to drain.
func TestTheGatewaysEnds(t *testing.T) {
	for _, object := range outside().withDefaults().gateway() {
		deployment, is := object.(*appsv1.Deployment)
		if !is {
			continue
		}
		pod := deployment.Spec.Template.Spec
		if probe := pod.Containers[0].ReadinessProbe; probe == nil || probe.HTTPGet.Path != "/ready" {
			t.Errorf("readiness: %v", probe)
		}
		if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace < gatewayDrain+10*time.Second {
			t.Errorf("grace: %s", grace)
		}
	}
}
