package translate_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestTLSUpstreamsAreVerified(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s by TLS for %s, TLS %x", r.Host, r.TLS.ServerName, r.TLS.Version)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are meant to
	server.StartTLS()
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})) // for example.com, *.example.com and 127.0.0.1
	ip, port := splitAddress(t, server.Listener.Addr().String())
	upstream := func(name mesh.ServiceName, tls mesh.UpstreamTLS) mesh.Service {
		s := service(name, mesh.HTTP)
		s.Endpoints.Static = []mesh.StaticEndpoint{{Address: ip, Port: port}}
		s.Traffic.TLS, s.Traffic.HostHeader = &tls, "api.example.com"
		return s
	}
	cases := map[mesh.ServiceName]struct {
		tls  mesh.UpstreamTLS
		want string // empty: refused
	}{
		"by-name":       {mesh.UpstreamTLS{SNI: "example.com", CA: ca}, "api.example.com by TLS for example.com, TLS 304"},
		"by-newest":     {mesh.UpstreamTLS{SNI: "Example.com", CA: ca, MinVersion: "1.3"}, "api.example.com by TLS for example.com, TLS 304"},
		"by-wildcard":   {mesh.UpstreamTLS{SNI: "a.example.com", CA: ca, SubjectAltNames: []string{"*.example.com"}}, "api.example.com by TLS for a.example.com, TLS 304"},
		"by-other-name": {mesh.UpstreamTLS{SNI: "x.test", CA: ca, SubjectAltNames: []string{"no.test", "example.com"}}, "api.example.com by TLS for x.test, TLS 304"},
		"by-address":    {mesh.UpstreamTLS{SNI: "127.0.0.1", CA: ca}, "api.example.com by TLS for , TLS 304"},
		"wrong-name":    {mesh.UpstreamTLS{SNI: "other.test", CA: ca}, ""},
		"wrong-wild":    {mesh.UpstreamTLS{SNI: "example.com", CA: ca, SubjectAltNames: []string{"*.com.example"}}, ""},
		"wrong-trust":   {mesh.UpstreamTLS{SNI: "example.com"}, ""}, // the machine does not trust the test's certificate
	}
	in := &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP)}}
	for name, c := range cases {
		in.Services[0].Dependencies = append(in.Services[0].Dependencies, name)
		in.Services = append(in.Services, upstream(name, c.tls))
	}
	web := startSidecar(t, in)
	for name, c := range cases {
		got := call(t, web.outbound(t), string(name), "/", nil)
		refused := got.status == 503 && web.Stat(t, "cluster."+string(name)+".ssl.fail_verify_san")+web.Stat(t, "cluster."+string(name)+".ssl.fail_verify_error") > 0
		if refused != (c.want == "") || !refused && got.body != c.want {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
}

func TestMirroredRequestsReachTheSubset(t *testing.T) {
	seen := make(chan string, 100)
	shadow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Host + r.URL.Path }))
	defer shadow.Close()
	orders := service("orders", mesh.HTTP)
	orders.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"v": "1"}}, {Name: "v2", Labels: map[string]string{"v": "2"}}}
	orders.Routes = []mesh.RouteRule{{To: []mesh.WeightedSubset{{Subset: "v1", Weight: 1}}, Mirror: &mesh.Mirror{Subset: "v2"}}}
	in := &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "orders"), orders}}
	add := func(v, ip string, port mesh.Port) {
		one := instanceAt("orders", mesh.InstanceID("orders-"+v), ip, port)
		one.Labels = map[string]string{"v": v}
		in.Instances = append(in.Instances, one)
	}
	ip, port := echo(t, "v1")
	add("1", ip, port)
	ip, port = splitAddress(t, shadow.Listener.Addr().String())
	add("2", ip, port)
	web := startSidecar(t, in)
	for i := range 5 {
		path := fmt.Sprint("/", i)
		if got := call(t, web.outbound(t), "orders", path, nil); got.body != "v1 orders "+path {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		select {
		case got := <-seen:
			if got != "orders"+path {
				t.Errorf("the copy asked for %s", got)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no copy of the request came")
		}
	}
}

func TestHashedRequestsStayWithOneInstance(t *testing.T) {
	for _, policy := range []mesh.Policy{mesh.RingHash, mesh.Maglev} {
		orders := service("orders", mesh.HTTP)
		orders.Traffic.LoadBalancing = mesh.LoadBalancing{Policy: policy, HashHeader: "X-User"}
		in := &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "orders"), orders}}
		for i := range 4 {
			ip, port := echo(t, fmt.Sprint("i", i))
			in.Instances = append(in.Instances, instanceAt("orders", mesh.InstanceID(fmt.Sprint("orders-", i)), ip, port))
		}
		web := startSidecar(t, in)
		all := map[string]bool{}
		for user := range 12 {
			mine := map[string]bool{}
			for range 4 {
				got := call(t, web.outbound(t), "orders", "/", http.Header{"X-User": {fmt.Sprint("user-", user)}})
				mine[got.body], all[got.body] = true, true
			}
			if len(mine) != 1 {
				t.Errorf("%s: one user's requests went to %v", policy, mine)
			}
		}
		if len(all) < 2 {
			t.Errorf("%s: all users' requests went to %v", policy, all)
		}
	}
}

func TestWeightedInstancesAndLocalities(t *testing.T) {
	orders := service("orders", mesh.HTTP)
	orders.Traffic.LoadBalancing.LocalityWeights = []mesh.LocalityWeight{{Zone: "1", Weight: 3}, {Zone: "2", Weight: 1}, {Zone: "3", Weight: 0}}
	in := &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "orders"), orders}}
	for i, zone := range []string{"1", "2", "2", "3"} {
		ip, port := echo(t, fmt.Sprint("i", i))
		one := instanceAt("orders", mesh.InstanceID(fmt.Sprint("orders-", i)), ip, port)
		one.Locality.Zone = zone
		in.Instances = append(in.Instances, one)
	}
	in.Instances[1].Weight = 3
	web := startSidecar(t, in)
	got := map[string]int{}
	for range 160 {
		got[call(t, web.outbound(t), "orders", "/", nil).body[:2]]++
	}
	// 120, 30, 10 and none; Envoy's schedule is exact to a request or so.
	if got["i0"] < 110 || got["i0"] > 130 || got["i1"] < 2*got["i2"] || got["i3"] != 0 {
		t.Errorf("got %v", got)
	}
}
