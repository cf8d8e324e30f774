package translate_test

import (
	"fmt"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func BenchmarkBuild20Dependencies(b *testing.B) {
	in := &input{Services: []mesh.Service{service("web", mesh.HTTP)}}
	for i := range 20 {
		s := rules()
		s.Name = mesh.ServiceName(fmt.Sprint("dependency-", i))
		in.Services = append(in.Services, s)
		in.Services[0].Dependencies = append(in.Services[0].Dependencies, s.Name)
		for j := range 3 {
			in.Instances = append(in.Instances, instanceAt(s.Name, mesh.InstanceID(fmt.Sprint("i-", j)), fmt.Sprintf("10.0.%d.%d", i, j), 80))
		}
	}
	view, scope := in.view(), translate.ScopeOf(mesh.Proxy{Service: "web", AppPort: 9000})
	b.ReportAllocs()
	for b.Loop() {
		translate.Build(view, scope, translate.Trust{})
	}
}

func BenchmarkEndpoints1000Instances(b *testing.B) {
	in := &input{Services: []mesh.Service{rules()}}
	for i := range 1000 {
		one := instanceAt("orders", mesh.InstanceID(fmt.Sprint("i-", i)), fmt.Sprintf("10.0.%d.%d", i/250, i%250), 80)
		one.Locality = mesh.Locality{Region: "eu", Zone: fmt.Sprint(i % 3)}
		one.Labels = map[string]string{"v": fmt.Sprint(1 + i%2)}
		in.Instances = append(in.Instances, one)
	}
	view := in.view()
	b.ReportAllocs()
	for b.Loop() {
		translate.Endpoints(view, "orders")
	}
}
