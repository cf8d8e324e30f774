package gatewayapi_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

var update = flag.Bool("update", false, "write the golden files anew")

// snapshot reads testdata/<case>/in.yaml: objects of Kubernetes, and services of the
// mesh as kind Declared.
func snapshot(t *testing.T, file string) gatewayapi.Snapshot {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := gatewayapi.Snapshot{
		Cluster: "prod", Namespaces: map[string]map[string]string{}, Secrets: map[types.NamespacedName]string{},
		Addresses: map[types.NamespacedName][]gw.GatewayStatusAddress{},
	}
	for _, document := range bytes.Split(body, []byte("\n---\n")) {
		var head struct {
			metav1.TypeMeta `json:",inline"`

			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		read(t, document, &head)
		at := types.NamespacedName{Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}
		switch head.Kind {
		case "GatewayClass":
			s.Classes = append(s.Classes, *read(t, document, &gw.GatewayClass{}))
		case "Gateway":
			s.Gateways = append(s.Gateways, *read(t, document, &gw.Gateway{}))
			s.Addresses[at] = []gw.GatewayStatusAddress{{Type: new(gw.IPAddressType), Value: "192.0.2.1"}}
		case "HTTPRoute":
			s.HTTPRoutes = append(s.HTTPRoutes, *read(t, document, &gw.HTTPRoute{}))
		case "GRPCRoute":
			s.GRPCRoutes = append(s.GRPCRoutes, *read(t, document, &gw.GRPCRoute{}))
		case "ReferenceGrant":
			s.Grants = append(s.Grants, *read(t, document, &gw.ReferenceGrant{}))
		case "Service":
			s.Services = append(s.Services, *read(t, document, &corev1.Service{}))
		case "Namespace":
			s.Namespaces[at.Name] = head.Metadata.Labels
		case "Secret":
			s.Secrets[at] = head.Metadata.Annotations["fault"]
		case "Declared":
			var declared struct {
				Spec mesh.Service `json:"spec"`
			}
			s.Declared = append(s.Declared, read(t, document, &declared).Spec)
		default:
			t.Fatalf("%s: what is a %q?", file, head.Kind)
		}
	}
	return s
}

func read[T any](t *testing.T, document []byte, into *T) *T {
	t.Helper()
	if err := yaml.Unmarshal(document, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// condition is one in short: its time says nothing here.
func conditions(all []metav1.Condition) []string {
	var out []string
	for _, one := range all {
		line := one.Type + "=" + string(one.Status) + " " + one.Reason
		if one.Message != "" {
			line += ": " + one.Message
		}
		out = append(out, line)
	}
	return out
}

// written is a result as out.yaml has it.
type written struct {
	Classes  map[string][]string    `json:"classes"`
	Gateways map[string]gatewaySaid `json:"gateways"`
	Routes   map[string][]parent    `json:"routes"`
	Plans    []gatewayapi.Gateway   `json:"plans"`
	Made     []mesh.Route           `json:"madeRoutes"`
	Services []mesh.Service         `json:"madeServices"`
}

type gatewaySaid struct {
	Conditions []string            `json:"conditions"`
	Listeners  map[string][]string `json:"listeners"`
	Attached   map[string]int32    `json:"attached"`
	Kinds      map[string][]string `json:"kinds"`
}

type parent struct {
	Parent     string   `json:"parent"`
	Conditions []string `json:"conditions"`
}

func write(r gatewayapi.Result) written {
	out := written{map[string][]string{}, map[string]gatewaySaid{}, map[string][]parent{}, r.Gateways, nil, nil}
	for name, status := range r.Statuses.Classes {
		out.Classes[name] = conditions(status.Conditions)
	}
	for at, status := range r.Statuses.Gateways {
		said := gatewaySaid{conditions(status.Conditions), map[string][]string{}, map[string]int32{}, map[string][]string{}}
		for _, l := range status.Listeners {
			said.Listeners[string(l.Name)], said.Attached[string(l.Name)] = conditions(l.Conditions), l.AttachedRoutes
			for _, kind := range l.SupportedKinds {
				said.Kinds[string(l.Name)] = append(said.Kinds[string(l.Name)], string(kind.Kind))
			}
		}
		out.Gateways[at.String()] = said
	}
	for of, status := range r.Statuses.Routes {
		for _, p := range status.Parents {
			name := string(p.ParentRef.Name)
			if p.ParentRef.SectionName != nil {
				name += "/" + string(*p.ParentRef.SectionName)
			}
			key := string(of.Kind) + " " + of.String()
			out.Routes[key] = append(out.Routes[key], parent{name, conditions(p.Conditions)})
		}
	}
	for _, one := range r.Routes {
		out.Made = append(out.Made, one.Route)
	}
	for _, one := range r.Services {
		out.Services = append(out.Services, one.Service)
	}
	return out
}

// TestTranslate holds what follows from each case of testdata to the file beside it,
// and what is made to what the registry takes.
func TestTranslate(t *testing.T) {
	files, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			result := gatewayapi.Translate(snapshot(t, file))
			names := map[mesh.RouteName]bool{}
			for _, one := range result.Routes {
				if faults := one.Validate(); len(faults) > 0 || names[one.Name] {
					t.Errorf("route %s is not valid, or made twice: %v", one.Name, faults)
				}
				names[one.Name] = true
			}
			for _, one := range result.Services {
				if faults := one.Validate(); len(faults) > 0 {
					t.Errorf("service %s is not valid: %v", one.Name, faults)
				}
			}
			got, err := yaml.Marshal(write(result))
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(filepath.Dir(file), "out.yaml")
			if *update {
				if err := os.WriteFile(out, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("not as in %s (run with -update if that is right):\n%s", out, diff)
			}
		})
	}
}

// TestAConditionThatStaysKeepsItsTime, or each status would be a write, and each write
// a status.
func TestAConditionThatStaysKeepsItsTime(t *testing.T) {
	s := snapshot(t, "testdata/attachment/in.yaml")
	first := gatewayapi.Translate(s).Statuses
	for i := range s.Gateways {
		s.Gateways[i].Status = first.Gateways[types.NamespacedName{Namespace: s.Gateways[i].Namespace, Name: s.Gateways[i].Name}]
	}
	for i := range s.HTTPRoutes {
		of := gatewayapi.Object{Kind: "HTTPRoute", NamespacedName: types.NamespacedName{Namespace: s.HTTPRoutes[i].Namespace, Name: s.HTTPRoutes[i].Name}}
		s.HTTPRoutes[i].Status.RouteStatus = first.Routes[of]
	}
	again := gatewayapi.Translate(s).Statuses
	if diff := cmp.Diff(first.Gateways, again.Gateways); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first.Routes, again.Routes); diff != "" {
		t.Error(diff)
	}
	if names := slices.Collect(maps.Keys(first.Routes)); len(names) == 0 {
		t.Error("no route has a status")
	}
}
