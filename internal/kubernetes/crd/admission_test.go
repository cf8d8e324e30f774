package crd_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

// verdict is an object's changes to a good one, and the field that is wrong with it; "":
// nothing is.
type verdict struct {
	spec, field string
}

// What the API server says of an object is what the model says of it, and it names the
// same field.
func TestTheAPIServerRefusesWhatTheModelRefuses(t *testing.T) {
	cluster := kubetest.Shared(t)
	for _, name := range []string{"meshroutes", "meshservices", "upstreams"} {
		data, err := os.ReadFile(filepath.Join("../../../api/crds", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		cluster.Apply(t, string(data))
	}
	namespace := cluster.Namespace(t)
	objects, err := dynamic.NewForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []struct {
		resource, kind, good string
		cases                map[string]verdict
		read                 func(*v1alpha1.Declared) error
	}{
		{"meshservices", "MeshService", `{"owner":"shop","protocol":"http","port":8080,"dependencies":["payments"]}`, services, readService},
		{"upstreams", "Upstream", `{"owner":"shop","protocol":"http","port":443,"dependencies":[],"endpoints":{"dns":{"host":"a.example"}}}`, upstreams, readService},
		{"meshroutes", "MeshRoute", `{"owner":"shop","hosts":["a.example"],"backends":[{"service":"web","weight":1}]}`, routes, func(d *v1alpha1.Declared) error { _, err := d.Route(); return err }},
	} {
		made := objects.Resource(schema.GroupVersionResource{Group: "heddle.io", Version: "v1alpha1", Resource: kind.resource}).Namespace(namespace)
		for name, c := range kind.cases {
			t.Run(kind.kind+"/"+name, func(t *testing.T) {
				spec := merged(t, kind.good, c.spec)
				_, err := made.Create(context.Background(), &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "heddle.io/v1alpha1", "kind": kind.kind, "metadata": map[string]any{"name": "orders", "namespace": namespace}, "spec": spec,
				}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
				raw, _ := json.Marshal(spec)
				own := kind.read(&v1alpha1.Declared{ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: namespace}, Spec: raw})
				switch {
				case c.field == "" && (err != nil || own != nil):
					t.Errorf("refused:\nby the API server: %v\nby the model:      %v", err, own)
				case c.field == "":
				case err == nil || own == nil:
					t.Errorf("taken:\nthe API server: %v\nthe model:      %v", err, own)
				default:
					if !namesOfServer(err, c.field) {
						t.Errorf("the API server does not name %s: %v", c.field, err)
					}
					if !namesOfModel(own, c.field) {
						t.Errorf("the model does not name %s: %v", c.field, own)
					}
				}
			})
		}
	}
}

func readService(d *v1alpha1.Declared) error { _, err := d.Service("prod"); return err }

// merged replaces fields of a good spec; null takes one out.
func merged(t *testing.T, good, changes string) map[string]any {
	t.Helper()
	var out, with map[string]any
	if err := errors.Join(json.Unmarshal([]byte(good), &out), json.Unmarshal([]byte(changes), &with)); err != nil {
		t.Fatal(err)
	}
	for key, value := range with {
		if out[key] = value; value == nil {
			delete(out, key)
		}
	}
	return out
}

// namesOfServer says whether the field, or what it is in, is among those that are named.
func namesOfServer(err error, field string) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return strings.Contains(err.Error(), "spec."+field)
	}
	for _, cause := range status.Status().Details.Causes {
		if within("spec."+field, cause.Field) {
			return true
		}
	}
	return strings.Contains(err.Error(), `"spec.`+field+`"`)
}

func namesOfModel(err error, field string) bool {
	var e *mesh.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, fault := range e.Faults {
		if within(fault.Path, field) || within(field, fault.Path) {
			return true
		}
	}
	return false
}

// within says whether path is field, or below it.
func within(path, field string) bool {
	rest, is := strings.CutPrefix(path, field)
	return field != "" && is && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
