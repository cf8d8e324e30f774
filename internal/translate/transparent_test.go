package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// TestNamesWithOneAddressAreAProblem: a service that calls two whose names have one
// address can reach only one by its name, and is told; on another port there is no clash.
func TestNamesWithOneAddressAreAProblem(t *testing.T) {
	seen := map[string]mesh.ServiceName{}
	var one, other mesh.ServiceName
	for i := 0; other == ""; i++ {
		name := mesh.ServiceName(fmt.Sprintf("service-%d", i))
		address := mesh.VirtualAddress(name).String()
		if one = seen[address]; one != "" {
			other = name
		}
		seen[address] = name
	}
	problems := func(port mesh.Port) []translate.Problem {
		second := service(other, mesh.TCP)
		second.Port = port
		in := input{Services: []mesh.Service{service("web", mesh.HTTP, one, other), service(one, mesh.HTTP), second}}
		_, problems := translate.Build(in.view(), translate.ScopeOf(mesh.Proxy{Service: "web", Intercept: &mesh.Intercept{}}), translate.Trust{})
		return problems
	}
	port := service("x", mesh.HTTP).Port
	if got := problems(port); len(got) != 1 || got[0].Object != "service/web" || !strings.Contains(got[0].Message, "rename one") {
		t.Errorf("%s and %s: %+v", one, other, got)
	}
	if got := problems(port + 1); len(got) != 0 {
		t.Errorf("on ports of their own: %+v", got)
	}
}

// TestScopesOfInterceptingProxies: what is the default anyway makes no scope of its own.
func TestScopesOfInterceptingProxies(t *testing.T) {
	name := func(i *mesh.Intercept) string {
		return translate.ScopeOf(mesh.Proxy{Service: "web", Intercept: i}).Name()
	}
	said := &mesh.Intercept{Port: mesh.DefaultInterceptPort, Outside: mesh.PassOutside}
	if name(said) != name(&mesh.Intercept{}) || said.Port == 0 {
		t.Error("saying the defaults makes another scope, or changes what was said")
	}
	if name(&mesh.Intercept{}) == name(nil) || name(&mesh.Intercept{}) == name(&mesh.Intercept{Outside: mesh.DenyOutside}) {
		t.Error("scopes that differ have one name")
	}
}
