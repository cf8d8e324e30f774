package install

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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

// functions are those of Helm's that our templates use.
var functions = template.FuncMap{
	"fail": func(why string) (string, error) { return "", errors.New(why) },
	"required": func(why string, value any) (any, error) {
		if value == nil || value == "" {
			return nil, errors.New(why)
		}
		return value, nil
	},
}

// render does what helm template does with the few things that our templates use.
// Helm itself is not run.
func render(t *testing.T, set func(values map[string]any)) string {
	t.Helper()
	out, err := renderFiles(t, set, "server.yaml", "operator.yaml", "webhook.yaml", "authz.yaml", "gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func renderFiles(t *testing.T, set func(values map[string]any), names ...string) (string, error) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "helm/heddle/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	set(values)
	var out bytes.Buffer
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(deploy, "helm/heddle/templates", name))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := template.New(name).Option("missingkey=error").Funcs(functions).Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Execute(&out, map[string]any{"Values": values, "Release": map[string]any{"Namespace": "mesh"}}); err != nil {
			return "", err
		}
	}
	return out.String(), nil
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

func printed(t *testing.T, o Options) string {
	t.Helper()
	var out bytes.Buffer
	for _, component := range Objects(o) {
		if component.Name == "namespace" || component.Name == definitions { // Helm makes it, and takes those from a folder
			continue
		}
		text, err := YAML(component.Objects)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	return out.String()
}

// The chart makes the same objects as heddle operator install.
func TestTheChartAgrees(t *testing.T) {
	for name, test := range map[string]struct {
		set func(map[string]any)
		o   Options
	}{
		"as it comes": {func(v map[string]any) { v["cluster"] = "dev" }, Options{Namespace: "mesh", Cluster: "dev"}},
		"etcd outside, all parts": {func(v map[string]any) {
			v["image"], v["cluster"] = "heddle:2", "prod"
			v["etcd"] = map[string]any{"endpoints": "https://e:2379"}
			v["authz"], v["gateway"] = map[string]any{"enabled": true}, map[string]any{"enabled": true}
			v["server"], v["operator"] = map[string]any{"replicas": 5}, map[string]any{"replicas": 3}
			v["webhook"] = map[string]any{"failurePolicy": "Ignore"}
		}, Options{Namespace: "mesh", Image: "heddle:2", Cluster: "prod", EtcdEndpoints: "https://e:2379", Authz: true, Gateway: true, Servers: 5, Operators: 3, FailurePolicy: admissionregistrationv1.Ignore}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(documents(t, printed(t, test.o)), documents(t, render(t, test.set))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The real API server takes every object, with strict validation; the real
// kubectl builds the kustomize base.
func TestTheAPIServerTakesEach(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	for name, o := range map[string]Options{"etcd inside": {Cluster: "prod"}, "etcd outside": outside()} {
		o.Namespace = namespace
		text, err := Print(o)
		if err != nil {
			t.Fatal(err)
		}
		out, err := cluster.Kubectl(t, string(text), "apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d objects", name, strings.Count(out, "\n"))
	}
	for folder, o := range map[string]Options{"base": {}, "etcd-outside": outside()} {
		built, err := cluster.Kubectl(t, "", "kustomize", filepath.Join(deploy, "kubernetes", folder))
		if err != nil {
			t.Fatal(err)
		}
		want := 1 + len(customResources()) + len(documents(t, printed(t, o)))
		if got := len(documents(t, built)); got != want {
			t.Errorf("%s: kustomize builds %d objects of %d", folder, got, want)
		}
	}
}

// Two clusters of one name would claim each other's objects.
func TestTheClusterHasToBeNamed(t *testing.T) {
	if _, err := renderFiles(t, func(map[string]any) {}, "operator.yaml"); err == nil || !strings.Contains(err.Error(), "cluster is missing") {
		t.Errorf("the chart without a cluster: %v", err)
	}
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
	if len(holders) != 3 {
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

// What is to be done by hand is said for both forms of the server.
func TestNotes(t *testing.T) {
	for endpoints, want := range map[string]string{"": "cat /var/lib/heddle/ca-cert.pem", "https://e:2379": "cat /etc/heddle/authority/ca.crt"} {
		notes, err := renderFiles(t, func(v map[string]any) {
			v["cluster"], v["etcd"], v["gateway"] = "prod", map[string]any{"endpoints": endpoints}, map[string]any{"enabled": true}
		}, "NOTES.txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{want, "--keeper kubernetes/prod", "-n mesh", "admin-token", "--vouch gateway/edge"} {
			if !strings.Contains(notes, part) {
				t.Errorf("%q is not in %s", part, notes)
			}
		}
	}
}
