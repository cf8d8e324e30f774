package crd

import (
	"reflect"
	"slices"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// All gives the definitions, by kind.
func All() []apiextensions.CustomResourceDefinition {
	service := func() apiextensions.JSONSchemaProps { return schemaOf(reflect.TypeFor[mesh.Service](), "name") }
	meshService := service()
	meshService.Description = "What an owner declares of a service. Without endpoints, its instances are the pods behind the Kubernetes Service of the same name and namespace."
	ownByDefault(&meshService)
	upstream := service()
	upstream.Description = "A service outside the mesh: its endpoints are dns or static."
	upstream.Required = append(upstream.Required, "endpoints")
	upstream.XValidations = append(upstream.XValidations, at("endpoints", outside, "has neither dns nor static: an Upstream is outside the mesh"))
	route := schemaOf(reflect.TypeFor[mesh.Route](), "name")
	route.Description = "Exposure of services to the outside on gateways."

	owner := column("Owner", ".spec.owner")
	protocol := column("Protocol", ".spec.protocol")
	port := apiextensions.CustomResourceColumnDefinition{Name: "Port", Type: "integer", JSONPath: ".spec.port"}
	host, hosts := column("Host", ".spec.hosts[0]"), column("Hosts", ".spec.hosts") // a list is printed as JSON
	hosts.Priority = 1
	return []apiextensions.CustomResourceDefinition{
		definition("MeshRoute", "meshroutes", "mrt", route, owner, host, hosts),
		definition("MeshService", "meshservices", "msvc", meshService, owner, protocol, port),
		definition("Upstream", "upstreams", "ups", upstream, owner, protocol, port),
	}
}

// ownByDefault lets a MeshService leave out its own cluster and namespace.
func ownByDefault(service *apiextensions.JSONSchemaProps) {
	endpoints := service.Properties["endpoints"]
	pods := endpoints.Properties["kubernetes"]
	pods.Required = nil
	pods.XValidations = slices.DeleteFunc(slices.Clone(pods.XValidations), func(r apiextensions.ValidationRule) bool { return r.FieldPath == ".clusters" })
	pods.Description += " Clusters and namespace are its own unless it says otherwise."
	endpoints.Properties["kubernetes"] = pods
}

func definition(kind, plural, short string, spec apiextensions.JSONSchemaProps, columns ...apiextensions.CustomResourceColumnDefinition) apiextensions.CustomResourceDefinition {
	schema := apiextensions.JSONSchemaProps{
		Type: "object", Description: spec.Description,
		Properties: map[string]apiextensions.JSONSchemaProps{
			"apiVersion": {Type: "string"},
			"kind":       {Type: "string"},
			"metadata":   {Type: "object"},
			"spec":       spec,
			"status":     status(),
		},
		Required: []string{"spec"},
		XValidations: rules(rule("self.metadata.name.matches('^"+labelPattern+"$')",
			"metadata.name is the name in the mesh, a DNS label: use lower-case letters, digits and inner hyphens, at most 63")),
	}
	columns = append(columns,
		condition("Accepted"), condition("Programmed"), column("Proxies", ".status.proxies"),
		column("Reason", `.status.conditions[?(@.status!="True")].reason`), // of the first that is not as it should be
		apiextensions.CustomResourceColumnDefinition{Name: "Revision", Type: "integer", JSONPath: ".status.revision", Priority: 1},
		apiextensions.CustomResourceColumnDefinition{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"})
	return apiextensions.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + v1alpha1.Group},
		Spec: apiextensions.CustomResourceDefinitionSpec{
			Group: v1alpha1.Group, Scope: apiextensions.NamespaceScoped,
			Names: apiextensions.CustomResourceDefinitionNames{
				Kind: kind, ListKind: kind + "List", Plural: plural, Singular: lower(kind),
				ShortNames: []string{short}, Categories: []string{"heddle"},
			},
			Versions: []apiextensions.CustomResourceDefinitionVersion{{
				Name: v1alpha1.Version, Served: true, Storage: true,
				Schema:                   &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &schema},
				Subresources:             &apiextensions.CustomResourceSubresources{Status: &apiextensions.CustomResourceSubresourceStatus{}},
				AdditionalPrinterColumns: columns,
			}},
		},
	}
}

func lower(kind string) string {
	out := []byte(kind)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}

func column(name, path string) apiextensions.CustomResourceColumnDefinition {
	return apiextensions.CustomResourceColumnDefinition{Name: name, Type: "string", JSONPath: path}
}

func condition(kind string) apiextensions.CustomResourceColumnDefinition {
	return column(kind, `.status.conditions[?(@.type=="`+kind+`")].status`)
}

// status is what the operator writes.
func status() apiextensions.JSONSchemaProps {
	text := func(description string) apiextensions.JSONSchemaProps {
		return apiextensions.JSONSchemaProps{Type: "string", Description: description}
	}
	number := func(description string) apiextensions.JSONSchemaProps {
		return apiextensions.JSONSchemaProps{Type: "integer", Format: "int64", Description: description}
	}
	when := text("When that last changed.")
	when.Format = "date-time"
	condition := apiextensions.JSONSchemaProps{
		Type: "object", Required: []string{"type", "status"},
		Properties: map[string]apiextensions.JSONSchemaProps{
			"type": text("Accepted or Programmed."), "status": text("True, False or Unknown."), "reason": text("One word for programs."),
			"message": text("The same for people."), "lastTransitionTime": when, "observedGeneration": number("The generation that it is about."),
		},
	}
	return apiextensions.JSONSchemaProps{
		Type: "object", Description: "Written by heddle operator.",
		Properties: map[string]apiextensions.JSONSchemaProps{
			"observedGeneration": number("The generation of the object that the rest is about."),
			"revision":           number("The registry's revision of what was written."),
			"proxies":            text("How many proxies have it, of those connected that need it."),
			"conditions": {
				Type: "array", Description: "Accepted: it is in the registry. Programmed: the proxies have it.",
				Items:     &apiextensions.JSONSchemaPropsOrArray{Schema: &condition},
				XListType: new("map"), XListMapKeys: []string{"type"},
			},
		},
	}
}
