package server_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// callers are who tries every write, in the order of the columns of [writes].
var callers = []string{"admin", "owner", "other owner", "token of the service", "token of its instances", "certificate", "nobody", "keeper"}

// The keepers of what the caller "keeper" finds. The others find what nobody keeps.
const (
	keeperOfOrders = mesh.Keeper("kubernetes/prod/shop/orders")
	keeperOfPods   = mesh.Keeper("kubernetes/prod")
)

// writes is every endpoint that changes something, and what becomes of each
// caller: y, it is done; n, 403; u, 401.
var writes = map[string]string{
	"POST /api/v1/services":                                "yynnnuuy",
	"PUT /api/v1/services/{name}":                          "yynynuuy",
	"DELETE /api/v1/services/{name}":                       "yynynuuy",
	"POST /api/v1/services/{name}/rollback":                "yynynuuy",
	"POST /api/v1/routes/{name}/rollback":                  "yynnnuuy",
	"POST /api/v1/runtime/rollback":                        "ynnnnuun",
	"POST /api/v1/instances":                               "yynyyyun",
	"PUT /api/v1/instances/{service}/{id}/lease":           "yynyyyun",
	"PUT /api/v1/instances/{service}/{id}/health":          "yynyyyun",
	"DELETE /api/v1/instances/{service}/{id}":              "yynyyyun",
	"PUT /api/v1/services/{name}/instances":                "ynnnnuuy",
	"PATCH /api/v1/services/{name}/instances":              "ynnnnuuy",
	"PUT /api/v1/keepers/kubernetes/{cluster}":             "ynnnnuuy",
	"POST /api/v1/services/{name}/release":                 "ynnnnuun",
	"POST /api/v1/routes/{name}/release":                   "ynnnnuun",
	"DELETE /api/v1/services/{name}/stale-instances":       "yynyyyun",
	"POST /api/v1/routes":                                  "yynnnuuy",
	"PUT /api/v1/routes/{name}":                            "yynnnuuy",
	"DELETE /api/v1/routes/{name}":                         "yynnnuuy",
	"PUT /api/v1/runtime":                                  "ynnnnuun",
	"POST /api/v1/tokens":                                  "yynnnuun",
	"DELETE /api/v1/tokens/{id}":                           "yynnnuun",
	"POST /api/v1/identities":                              "nnnnnyun",
	"POST /api/v1/revocations":                             "ynnnnuun",
	"DELETE /api/v1/revocations/{kind}/{name}":             "ynnnnuun",
	"POST /api/v1/signing-keys/rotate":                     "ynnnnuun",
	"POST /api/v1/signing-keys/withdraw":                   "ynnnnuun",
	"POST /api/v1/signing-keys/publish":                    "ynnnnuun",
	"DELETE /api/v1/signing-keys/{id}":                     "ynnnnuun",
	"DELETE /api/v1/discovery/{source}":                    "ynnnnuun",
	"POST /api/v1/discovery/{source}/refresh":              "ynnnnuun",
	"POST /api/v1/plan":                                    "yyyyyuuy", // writes nothing
	"POST /api/v1/impact":                                  "yyyyyuuy",
	"PUT /api/v1/services/{name}/callers/{caller}":         "yynynuuy",
	"DELETE /api/v1/services/{name}/callers/{caller}":      "yynynuuy",
	"PUT /api/v1/services/{name}/callers/{caller}/refusal": "yynynuuy",
}

const (
	ordersBody = `{"name":"orders","owner":"team-a","protocol":"http","port":80,"dependencies":[]}`
	routeBody  = `{"name":"shop","owner":"team-a","hosts":["shop.example.com"],"backends":[{"service":"orders","weight":1}]}`
)

// stage puts the mesh into the state that each try begins from, and gives the
// path and the body of the request.
func (s *secure) stage(endpoint string, keeper mesh.Keeper) (path, body string) {
	s.t.Helper()
	s.clear("orders", "fresh")
	kept := "X-Heddle-Keeper: " + string(keeper)
	must := func(got reply, statuses ...int) reply {
		if !slices.Contains(statuses, got.status) {
			s.t.Fatalf("%d %s", got.status, got.body)
		}
		return got
	}
	must(s.write("PUT", "/api/v1/services/orders", strings.Replace(ordersBody, "{", `{"access":{"callers":"approved","approved":["web"]},`, 1), kept), 200)
	must(s.write("PUT", "/api/v1/routes/shop", routeBody, kept), 200)
	registered := must(s.write("POST", "/api/v1/instances", `{"service":"orders","id":"o-1","address":"10.0.0.1","port":80,"ttl":"1h"}`), 201)
	var instances struct{ Items []mesh.Instance }
	if err := json.Unmarshal([]byte(registered.body), &instances); err != nil {
		s.t.Fatal(err)
	}
	_, path, _ = strings.Cut(endpoint, " ")
	path = strings.NewReplacer("/services/{name}", "/services/orders", "/routes/{name}", "/routes/shop", "{service}", "orders", "{caller}", "web").Replace(path)
	path = strings.Replace(path, "instances/orders/{id}", "instances/orders/o-1", 1)
	switch endpoint {
	case "POST /api/v1/services":
		body = strings.Replace(ordersBody, "orders", "fresh", 1)
	case "PUT /api/v1/services/{name}":
		body = ordersBody
	case "DELETE /api/v1/services/{name}": // the route leads to it
		path += "?force=true"
	case "POST /api/v1/services/{name}/rollback":
		must(s.write("PUT", "/api/v1/services/orders", ordersBody, kept), 200)
		states, err := s.store.ServiceHistory(s.t.Context(), "orders")
		body = earlier(s, states, err)
	case "POST /api/v1/routes/{name}/rollback":
		must(s.write("PUT", "/api/v1/routes/shop", routeBody, kept), 200)
		states, err := s.store.RouteHistory(s.t.Context(), "shop")
		body = earlier(s, states, err)
	case "POST /api/v1/runtime/rollback":
		for range 2 {
			must(s.write("PUT", "/api/v1/runtime", `{"values":{}}`), 200)
		}
		states, err := s.store.RuntimeHistory(s.t.Context())
		body = earlier(s, states, err)
	case "POST /api/v1/instances":
		body = `{"service":"orders","id":"o-2","address":"10.0.0.2","port":80}`
	case "PUT /api/v1/services/{name}/instances":
		body = `{"instances":[{"id":"pod","address":"10.0.0.3","port":80}]}`
	case "PATCH /api/v1/services/{name}/instances":
		set, err := s.store.KeepInstances(s.t.Context(), "orders", []mesh.Instance{{ID: "first", Address: "10.0.0.4", Port: 80}}, registry.Write{Keeper: keeperOfPods})
		if err != nil {
			s.t.Fatal(err)
		}
		body = fmt.Sprintf(`{"base":%d,"instances":[{"id":"pod","address":"10.0.0.3","port":80}]}`, set.Base)
	case "PUT /api/v1/instances/{service}/{id}/lease":
		body = `{"epoch":"` + instances.Items[0].Epoch + `"}`
	case "PUT /api/v1/instances/{service}/{id}/health":
		body = `{"health":"draining"}`
	case "POST /api/v1/routes":
		body = strings.Replace(routeBody, "shop", "fresh", 1)
	case "PUT /api/v1/routes/{name}":
		body = routeBody
	case "PUT /api/v1/runtime":
		body = `{"values":{}}`
	case "POST /api/v1/tokens":
		body = `{"service":"orders"}`
	case "DELETE /api/v1/tokens/{id}":
		token, _, err := s.store.CreateToken(s.t.Context(), registry.Token{Service: "orders"}, registry.Write{})
		if err != nil {
			s.t.Fatal(err)
		}
		path = strings.Replace(path, "{id}", token.ID, 1)
	case "POST /api/v1/services/{name}/release", "POST /api/v1/routes/{name}/release":
		body = `{}`
	case "PUT /api/v1/keepers/kubernetes/{cluster}":
		path, body = strings.Replace(path, "{cluster}", "prod", 1), `{"source":"uid-of-prod"}`
	case "DELETE /api/v1/discovery/{source}":
		s.putRaw("/heddle/v1/discovery-roster", `{"server":"one","sources":[]}`)
		s.putRaw("/heddle/v1/discovery/az", `{"name":"az"}`)
		path = strings.Replace(path, "{source}", "az", 1)
	case "POST /api/v1/discovery/{source}/refresh":
		s.putRaw("/heddle/v1/discovery-roster", `{"server":"one","sources":["az"]}`)
		s.seen()
		path = strings.Replace(path, "{source}", "az", 1)
	case "POST /api/v1/plan":
		body = `{}`
	case "POST /api/v1/impact":
		body = ordersBody
	case "POST /api/v1/revocations":
		body = `{"of":"service/fresh"}`
	case "DELETE /api/v1/revocations/{kind}/{name}":
		must(s.write("POST", "/api/v1/revocations", `{"of":"service/fresh"}`), 201)
		path = "/api/v1/revocations/service/fresh"
	case "DELETE /api/v1/signing-keys/{id}":
		before, err := s.store.Trust(s.t.Context())
		if err == nil {
			err = s.store.PutTokenKeys(s.t.Context(), mesh.TokenKeys{Issuer: "https://mesh", JWKS: []byte(`{"keys":[{}]}`), Schedule: []mesh.KeyTime{{ID: "stolen"}}}, before, registry.Write{})
		}
		if err != nil {
			s.t.Fatal(err)
		}
		path = strings.Replace(path, "{id}", "stolen", 1)
	case "POST /api/v1/identities":
		_, csr := newRequest(s.t)
		data, _ := json.Marshal(map[string]string{"csr": csr})
		body = string(data)
	}
	return path, body
}

// clear deletes services and routes, whoever keeps them.
func (s *secure) clear(services ...mesh.ServiceName) {
	s.t.Helper()
	for _, name := range services {
		if one, err := s.store.Service(s.t.Context(), name); err == nil {
			if err := s.store.DeleteService(s.t.Context(), name, registry.Write{Keeper: one.Meta.Keeper, Force: true}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	for _, name := range []mesh.RouteName{"shop", "fresh"} {
		if one, err := s.store.Route(s.t.Context(), name); err == nil {
			if err := s.store.DeleteRoute(s.t.Context(), name, registry.Write{Keeper: one.Meta.Keeper}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// earlier asks for a rollback to what was before the present.
func earlier[T any](s *secure, states []registry.Past[T], err error) string {
	s.t.Helper()
	if err != nil || len(states) < 2 {
		s.t.Fatalf("%v, %v", states, err)
	}
	return fmt.Sprintf(`{"to":%d}`, states[1].Revision)
}

// token makes a token, and gives its secret.
func (w *world) token(token registry.Token) string {
	w.t.Helper()
	_, secret, err := w.store.CreateToken(w.t.Context(), token, registry.Write{})
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func TestWhoMayWriteWhat(t *testing.T) {
	s := newSecure(t)
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(s.call("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	var known []string
	for path, methods := range document.Paths {
		for method := range methods {
			if method = strings.ToUpper(method); method != http.MethodGet {
				known = append(known, method+" "+path)
			}
		}
	}
	slices.Sort(known)
	if want := slices.Sorted(maps.Keys(writes)); !slices.Equal(known, want) {
		t.Fatalf("the API's writes are\n%s\nand those in the table\n%s", strings.Join(known, "\n"), strings.Join(want, "\n"))
	}
	s.declare(ordersBody)
	secrets := map[string]string{
		"admin": s.admin, "owner": s.token(registry.Token{Owners: []string{"team-a"}}), "other owner": s.token(registry.Token{Owners: []string{"team-b", "team-c"}}),
		"token of the service": s.token(registry.Token{Service: "orders"}), "token of its instances": s.token(registry.Token{Kind: registry.InstancesToken, Service: "orders"}),
		"keeper": s.token(registry.Token{Kind: registry.KeeperToken, Keeper: keeperOfPods}),
	}
	certificate := s.join(mesh.Identity{Kind: mesh.ServiceIdentity, Name: "orders"})
	for endpoint, want := range writes {
		method, _, _ := strings.Cut(endpoint, " ")
		for i, caller := range callers {
			var keeper mesh.Keeper
			if caller == "keeper" {
				keeper = keeperOfOrders
			}
			path, body := s.stage(endpoint, keeper)
			if strings.HasSuffix(endpoint, " /api/v1/services/{name}/instances") {
				keeper = keeperOfPods
			}
			var shown *tls.Certificate
			if caller == "certificate" {
				shown = certificate
			}
			got := s.over(method, path, body, secrets[caller], shown, "X-Heddle-Keeper: "+string(keeper))
			answer := byte('y')
			switch {
			case got.status == http.StatusUnauthorized:
				answer = 'u'
			case got.status == http.StatusForbidden:
				answer = 'n'
			case got.status/100 != 2:
				t.Errorf("%s by %s: %d %s", endpoint, caller, got.status, got.body)
				continue
			}
			if answer != want[i] {
				t.Errorf("%s by %s: %c, want %c: %d %s", endpoint, caller, answer, want[i], got.status, got.body)
			}
		}
	}
}

// over sends a request over TLS.
func (s *secure) over(method, path, body, token string, certificate *tls.Certificate, headers ...string) reply {
	s.t.Helper()
	meeting := identity.PinnedTLS(s.authority.Pin())
	if certificate != nil {
		meeting.Certificates = []tls.Certificate{*certificate}
	}
	plain, url := s.http, s.url
	defer func() { s.http, s.url = plain, url }()
	s.http, s.url = &http.Client{Transport: &http.Transport{TLSClientConfig: meeting, DisableKeepAlives: true}}, s.address
	if token != "" {
		headers = append(headers, "Authorization: Bearer "+token)
	}
	return s.call(method, path, body, headers...)
}

func TestHandingOverNeedsBothOwners(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersBody)
	a, b := w.token(registry.Token{Owners: []string{"team-a"}}), w.token(registry.Token{Owners: []string{"team-b"}})
	both, of := w.token(registry.Token{Owners: []string{"team-a", "team-b"}}), w.token(registry.Token{Service: "orders"})
	theirs := strings.Replace(ordersBody, "team-a", "team-b", 1)
	put := func(token, body string) reply {
		return w.call("PUT", "/api/v1/services/orders", body, "Authorization: Bearer "+token)
	}
	for name, token := range map[string]string{"giving away": a, "taking": b, "the service's token": of} {
		if got := put(token, theirs); got.status != 403 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := put(both, theirs); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := put(a, ordersBody); got.status != 403 {
		t.Errorf("the former owner writes: %d %s", got.status, got.body)
	}
	if got := put(b, theirs); got.status != 200 {
		t.Errorf("the new owner: %d %s", got.status, got.body)
	}
	// The token of the former owner's time keeps the instances going, and no more.
	if got := put(of, theirs); got.status != 403 || !strings.Contains(got.body, "have another token made") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.call("POST", "/api/v1/instances", `{"service":"orders","id":"o-1","address":"10.0.0.1","port":80}`, "Authorization: Bearer "+of); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	// A name that another owner declares anew is another service.
	w.write("DELETE", "/api/v1/services/orders", "")
	if got := w.call("POST", "/api/v1/services", theirs, "Authorization: Bearer "+b); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.eventually("the former owner's token ends", func() bool {
		got := w.call("POST", "/api/v1/instances", `{"service":"orders","id":"o-1","address":"10.0.0.1","port":80}`, "Authorization: Bearer "+of)
		return got.status == 401
	})
}

func TestRoutesExposeWhatTheirOwnerHas(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersBody)
	w.declare(strings.NewReplacer("orders", "bank", "team-a", "team-b").Replace(ordersBody))
	theirs := strings.NewReplacer(`"shop"`, `"bank"`, "team-a", "team-b", "orders", "bank", "shop.example.com", "*.bank.example.com").Replace(routeBody)
	if got := w.write("PUT", "/api/v1/routes/bank", theirs); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	a := w.token(registry.Token{Owners: []string{"team-a"}})
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"its own":                     {nil, ""},
		"in another's name":           {[]string{"team-a", "team-b"}, "may not make route"},
		"another's service":           {[]string{`"orders"`, `"bank"`}, `belongs to \"team-b\"`},
		"a mirror to another's":       {[]string{`"backends"`, `"mirror":{"service":"bank"},"backends"`}, `belongs to \"team-b\"`},
		"a service that nobody has":   {[]string{`"orders"`, `"later"`}, "nobody has declared"},
		"a host below another's":      {[]string{"shop.example.com", "shop.bank.example.com"}, "within reach"},
		"a host that is another's":    {[]string{"shop.example.com", "*.bank.example.com"}, "within reach"},
		"the same, with a dot behind": {[]string{"shop.example.com", "shop.bank.example.com."}, "within reach"},
		"a pattern above another's":   {[]string{"shop.example.com", "*.example.com"}, "within reach"},
		"a host that only looks like": {[]string{"shop.example.com", "notbank.example.com"}, ""},
	} {
		got := w.call("PUT", "/api/v1/routes/shop", strings.NewReplacer(c.change...).Replace(routeBody), "Authorization: Bearer "+a)
		if c.want == "" && got.status != 200 || c.want != "" && (got.status != 403 || !strings.Contains(got.body, c.want)) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := w.call("DELETE", "/api/v1/routes/bank", "", "Authorization: Bearer "+a); got.status != 403 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.call("PUT", "/api/v1/routes/bank", routeBody, "Authorization: Bearer "+a); got.status == 200 {
		t.Errorf("another's route was taken over: %s", got.body)
	}
}

// Two owners who want one host at the same moment do not both get it.
func TestOneOwnerGetsTheHost(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersBody)
	w.declare(strings.NewReplacer("orders", "bank", "team-a", "team-b").Replace(ordersBody))
	a, b := w.token(registry.Token{Owners: []string{"team-a"}}), w.token(registry.Token{Owners: []string{"team-b"}})
	theirs := strings.NewReplacer(`"shop"`, `"bank"`, "team-a", "team-b", "orders", "bank").Replace(routeBody)
	for range 20 {
		var group sync.WaitGroup
		statuses := make([]int, 2)
		group.Go(func() {
			statuses[0] = w.call("PUT", "/api/v1/routes/shop", routeBody, "Authorization: Bearer "+a).status
		})
		group.Go(func() {
			statuses[1] = w.call("PUT", "/api/v1/routes/bank", theirs, "Authorization: Bearer "+b).status
		})
		group.Wait()
		if slices.Sort(statuses); !slices.Equal(statuses, []int{200, 403}) {
			t.Fatalf("they got %v", statuses)
		}
		w.write("DELETE", "/api/v1/routes/shop", "")
		w.write("DELETE", "/api/v1/routes/bank", "")
	}
}

func TestAnOwnersTokens(t *testing.T) {
	w := newWorld(t)
	w.declare(ordersBody)
	w.declare(strings.NewReplacer("orders", "bank", "team-a", "team-b").Replace(ordersBody))
	a := w.token(registry.Token{Owners: []string{"team-a"}})
	bank, _, err := w.store.CreateToken(t.Context(), registry.Token{Service: "bank"}, registry.Write{})
	if err != nil {
		t.Fatal(err)
	}
	as := func(method, path, body string) reply {
		return w.call(method, path, body, "Authorization: Bearer "+a)
	}
	for body, want := range map[string]int{
		`{"service":"orders"}`: 201, `{"service":"orders","kind":"instances"}`: 201, `{"service":"bank"}`: 403, `{"service":"nobodys"}`: 403,
		`{}`: 403, `{"owners":["team-a"]}`: 403, `{"owners":[]}`: 422, `{"owners":["team-a"],"service":"orders"}`: 422, `{"kind":"instances"}`: 403,
	} {
		if got := as("POST", "/api/v1/tokens", body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := w.write("POST", "/api/v1/tokens", `{"owners":["team-a","team-b"],"description":"both"}`); got.status != 201 || !strings.Contains(got.body, `"secret":"hds_`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	var list struct{ Items []registry.Token }
	if err := json.Unmarshal([]byte(as("GET", "/api/v1/tokens", "").body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 { // two of orders, and itself
		t.Errorf("%+v", list.Items)
	}
	if got := as("DELETE", "/api/v1/tokens/"+bank.ID, ""); got.status != 403 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := as("DELETE", "/api/v1/tokens/abc", ""); got.status != 403 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, one := range list.Items {
		if got := as("DELETE", "/api/v1/tokens/"+one.ID, ""); len(one.Owners) > 0 && one.Service == "" && got.status != 204 && got.status != 401 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// Whoever reads the token wants to know: a server of before must not take an
// owner's token for an admin's.
func TestAnOwnersTokenIsKeptApart(t *testing.T) {
	w := newWorld(t)
	secret := w.token(registry.Token{Owners: []string{"team-a"}})
	if got := w.call("POST", "/api/v1/services", ordersBody, "Authorization: Bearer hdl"+strings.TrimPrefix(secret, "hds")); got.status != 401 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
