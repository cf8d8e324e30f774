package mesh_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestWhatARouteMayChange(t *testing.T) {
	web := []mesh.WeightedBackend{{Service: "web", Weight: 1}}
	for name, c := range map[string]struct {
		route mesh.Route
		want  []string
	}{
		"every host": {mesh.Route{Hosts: []string{"*"}, Schemes: []mesh.Scheme{"http", "https"}, Backends: web, Order: 7}, nil},
		"a refusal":  {mesh.Route{Hosts: []string{"a.test"}, Refuse: 500}, nil},
		"a scheme":   {mesh.Route{Hosts: []string{"a.test"}, Schemes: []mesh.Scheme{"http"}, Redirect: &mesh.Redirect{Scheme: "https"}}, nil},
		"bad schemes": {mesh.Route{Hosts: []string{"a.test"}, Schemes: []mesh.Scheme{"ftp", "http", "http"}, PlainHTTP: true, Backends: web}, []string{
			`schemes[0]: "ftp" is not one of http, https`, `schemes[2]: "http" is in schemes[1] already`,
			"plainHTTP: contradicts schemes, which names all that it is served over: leave it out",
		}},
		"in circles": {mesh.Route{Hosts: []string{"a.test"}, Redirect: &mesh.Redirect{Scheme: "https"}}, []string{
			"redirect: leads back to this route, and again and again: the new address matches it too",
		}},
		"two answers": {mesh.Route{Hosts: []string{"a.test"}, Refuse: 200, Redirect: &mesh.Redirect{Port: 1}, Backends: web}, []string{
			"refuse: 200 is no status of a refusal: use 400 to 599",
			"redirect: cannot stand beside refuse, which answers the request itself: leave one of them out",
			"backends: cannot stand beside refuse, which answers the request itself: leave one of them out",
		}},
		"the mesh's headers": {mesh.Route{
			Hosts: []string{"a.test"}, Backends: web, Order: -1,
			RequestHeaders:  &mesh.HeaderChange{Set: map[string]string{"X-Heddle-Token": "mine"}, Remove: []string{"Content-Length", "a b"}},
			ResponseHeaders: &mesh.HeaderChange{Set: map[string]string{"x-a": "\n"}, Add: map[string]string{"X-A": "1"}},
		}, []string{
			`requestHeaders.set.X-Heddle-Token: "X-Heddle-Token" is not for routes to change: it belongs to the mesh or to the connection`,
			`requestHeaders.remove[0]: "Content-Length" is not for routes to change: it belongs to the mesh or to the connection`,
			`requestHeaders.remove[1]: "a b" is not a header name`,
			`responseHeaders.set.x-a: is not a header value: it has control characters or is longer than 4096 bytes`,
			`responseHeaders.add.X-A: "X-A" is named twice`,
			"order: -1 is below 0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.route.Name, c.route.Owner = "shop", "shop"
			if diff := cmp.Diff(c.want, texts(c.route.Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
}
