package translate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// behindSidecar starts a sidecar beside an application and gives the instance
// that callers see.
func behindSidecar(t *testing.T, s mesh.Service, id mesh.InstanceID, ip string, port mesh.Port) mesh.Instance {
	t.Helper()
	side := startSidecar(t, &input{
		Proxy:    mesh.Proxy{Service: s.Name, Instance: id, AppAddress: ip, AppPort: port, InboundPort: 1},
		Services: []mesh.Service{s},
	})
	ip, port = splitAddress(t, side.inbound(t))
	return instanceAt(s.Name, id, ip, port)
}

func TestRequestsGoFromSidecarToSidecar(t *testing.T) {
	orders := service("orders", mesh.HTTP)
	orders.ListenerPort = 9999
	ip, port := echo(t, "one")
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
		Instances: []mesh.Instance{behindSidecar(t, orders, "orders-1", ip, port)},
	})
	for host, address := range map[string]string{
		"orders": web.outbound(t), "ORDERS.mesh:8080": web.outbound(t), "whatever.example": web.own(t, "orders"),
	} {
		got := call(t, address, host, "/path?q=1", http.Header{"X-Request-Id": {"my-own-id"}})
		if got.status != 200 || got.body != "one "+host+" /path?q=1" {
			t.Errorf("%s: got %d %q", host, got.status, got.body)
		}
		if seen := got.header.Get("X-Seen-Request-Id"); seen != "my-own-id" || got.header.Get("X-Request-Id") != seen {
			t.Errorf("%s: the application saw the request id %q, the caller %q", host, seen, got.header.Get("X-Request-Id"))
		}
	}
}

// TestHTTP10IsAnswered: nginx speaks it to what is behind it, and so do the
// checks of many a load balancer, without a Host header.
func TestHTTP10IsAnswered(t *testing.T) {
	orders := service("orders", mesh.HTTP)
	ip, port := echo(t, "one")
	instance := behindSidecar(t, orders, "orders-1", ip, port)
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
		Instances: []mesh.Instance{instance},
	})
	for request, address := range map[string]string{
		"GET /x HTTP/1.0\r\nHost: orders\r\n\r\n": web.outbound(t),
		"GET /x HTTP/1.0\r\n\r\n":                 fmt.Sprintf("%s:%d", instance.Address, instance.Port),
	} {
		c, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(c, request)
		answer, err := io.ReadAll(c)
		c.Close()
		if err != nil || !strings.Contains(string(answer), " 200 OK\r\n") || !strings.HasSuffix(string(answer), "\r\n\r\none orders /x") {
			t.Errorf("%q was answered: %q %v", request, answer, err)
		}
	}
}

func TestAnInstanceWhoseApplicationIsDownFailsNoRequest(t *testing.T) {
	for _, p := range []mesh.Protocol{mesh.HTTP} {
		orders := service("orders", p)
		ip, port := echo(t, "up")
		downIP, downPort := unused(t)
		goneIP, gonePort := unused(t) // a sidecar that died with its instance
		web := startSidecar(t, &input{
			Proxy:    mesh.Proxy{Service: "web", Instance: "web-1"},
			Services: []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
			Instances: []mesh.Instance{
				behindSidecar(t, orders, "orders-1", ip, port), behindSidecar(t, orders, "orders-2", downIP, downPort),
				instanceAt("orders", "orders-3", goneIP, gonePort),
			},
		})
		for i := range 30 {
			if got := call(t, web.outbound(t), "orders", "/", nil); got.status != 200 {
				t.Fatalf("request %d: %d %s %v", i, got.status, got.body, got.header)
			}
		}
	}
}

func TestOnlyHealthyInstancesGetRequests(t *testing.T) {
	in := &input{
		Proxy:    mesh.Proxy{Service: "web", Instance: "web-1"},
		Services: []mesh.Service{service("web", mesh.HTTP, "orders", "resting"), service("orders", mesh.HTTP), service("resting", mesh.HTTP)},
	}
	for i, health := range []mesh.Health{mesh.Healthy, mesh.Draining, mesh.Unhealthy, mesh.Draining} { // one of four: far below Envoy's panic threshold
		ip, port := echo(t, string(health))
		one := instanceAt("orders", mesh.InstanceID(fmt.Sprint("orders-", i)), ip, port)
		one.Health = health
		in.Instances = append(in.Instances, one)
	}
	resting := in.Instances[1]
	resting.Service = "resting"
	in.Instances = append(in.Instances, resting)
	web := startSidecar(t, in)
	for range 20 {
		if got := call(t, web.outbound(t), "orders", "/", nil); !strings.HasPrefix(got.body, "healthy ") {
			t.Fatalf("answered by %d %s", got.status, got.body)
		}
	}
	if got := call(t, web.outbound(t), "resting", "/", nil); got.status != 503 {
		t.Errorf("a service without a healthy instance: %d %s", got.status, got.body)
	}
}

// rules is a service with subsets v1 and v2 and every kind of rule.
func rules() mesh.Service {
	s := service("orders", mesh.HTTP)
	s.Subsets = []mesh.Subset{{Name: "v1", Labels: map[string]string{"v": "1"}}, {Name: "v2", Labels: map[string]string{"v": "2"}}, {Name: "v9", Labels: map[string]string{"v": "9"}}}
	to := func(name string) []mesh.WeightedSubset { return []mesh.WeightedSubset{{Subset: name, Weight: 1}} }
	path := func(p mesh.PathMatch) mesh.RequestMatch { return mesh.RequestMatch{Path: &p} }
	header := func(h mesh.HeaderMatch) mesh.RequestMatch { return mesh.RequestMatch{Headers: []mesh.HeaderMatch{h}} }
	s.Routes = []mesh.RouteRule{
		{Match: path(mesh.PathMatch{Exact: "/exact"}), To: to("v2"), Rewrite: "/whole"},
		{Match: path(mesh.PathMatch{Prefix: "/api/"}), To: to("v2"), Rewrite: "/v2/"},
		{Match: path(mesh.PathMatch{Prefix: "/shop.x"}), To: to("v2"), Rewrite: "/"},
		{Match: path(mesh.PathMatch{Regex: "/item/[0-9]+"}), To: to("v2")},
		{Match: path(mesh.PathMatch{Prefix: "/empty"}), To: to("v9")},
		{Match: header(mesh.HeaderMatch{Name: "x-user", Exact: "tester"}), To: to("v2")},
		{Match: header(mesh.HeaderMatch{Name: "x-group", Regex: "a|bc"}), To: to("v2")},
		{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/inverted"}, Headers: []mesh.HeaderMatch{{Name: "x-not", Exact: "1", Invert: true}}}, To: to("v2")},
		{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/present"}, Headers: []mesh.HeaderMatch{{Name: "x-there"}}}, To: to("v2")},
		{Match: mesh.RequestMatch{Path: &mesh.PathMatch{Prefix: "/write"}, Methods: []string{"PUT", "POST"}}, To: to("v2")},
		{Match: path(mesh.PathMatch{Prefix: "/split"}), To: []mesh.WeightedSubset{{Subset: "v1", Weight: 50}, {Subset: "v2", Weight: 50}}},
		{Match: mesh.RequestMatch{Query: []mesh.QueryMatch{{Name: "v", Exact: "a%20b"}}}, To: to("v2")},
		{Match: mesh.RequestMatch{Query: []mesh.QueryMatch{{Name: "p", Prefix: "x"}, {Name: "q"}}}, To: to("v2")},
		{Match: mesh.RequestMatch{Query: []mesh.QueryMatch{{Name: "r", Regex: "[0-9]+"}}}, To: to("v2")},
		{To: to("v1")},
	}
	return s
}

func TestRulesMatchAndRewrite(t *testing.T) {
	in := &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "orders"), rules()}}
	for _, v := range []string{"1", "2"} {
		ip, port := echo(t, "v"+v)
		one := instanceAt("orders", mesh.InstanceID("orders-"+v), ip, port)
		one.Labels = map[string]string{"v": v}
		in.Instances = append(in.Instances, one)
	}
	web := startSidecar(t, in)
	cases := []struct{ path, header, want string }{
		{"/exact?q=/exact", "", "v2 orders /whole?q=/exact"},
		{"/exact/", "", "v1 orders /exact/"},
		{"/api", "", "v2 orders /v2"},
		{"/api/x?y=1", "", "v2 orders /v2/x?y=1"},
		{"/apix", "", "v1 orders /apix"},
		{"/other/../api/x", "", "v2 orders /v2/x"},
		{"/other/%2e%2e/%61pi/x", "", "v2 orders /v2/x"},
		{"//api/x", "", "v1 orders //api/x"},
		{"/api%2Fx", "", "v1 orders /api%2Fx"},
		{"/shop.x", "", "v2 orders /"},
		{"/shop.x/", "", "v2 orders /"},
		{"/shop.x/cart/shop.x?a", "", "v2 orders /cart/shop.x?a"},
		{"/shopyx/cart", "", "v1 orders /shopyx/cart"},
		{"/item/42?x", "", "v2 orders /item/42?x"},
		{"/item/42/x", "", "v1 orders /item/42/x"},
		{"/", "x-user: tester", "v2 orders /"},
		{"/", "x-user: testers", "v1 orders /"},
		{"/", "x-group: bc", "v2 orders /"},
		{"/", "x-group: abc", "v1 orders /"},
		{"/inverted", "", "v2 orders /inverted"},
		{"/inverted", "x-not: 2", "v2 orders /inverted"},
		{"/inverted", "x-not: 1", "v1 orders /inverted"},
		{"/present", "", "v1 orders /present"},
		{"/present", "x-there: ", "v2 orders /present"},
		{"/write", "", "v1 orders /write"},
		{"/?u=1&v=a%20b", "", "v2 orders /?u=1&v=a%20b"},
		{"/?v=a+b", "", "v1 orders /?v=a+b"},
		{"/?v=1&v=a%20b", "", "v1 orders /?v=1&v=a%20b"},
		{"/?q&p=xy", "", "v2 orders /?q&p=xy"},
		{"/?p=xy", "", "v1 orders /?p=xy"},
		{"/?r=42", "", "v2 orders /?r=42"},
		{"/?r=42x", "", "v1 orders /?r=42x"},
	}
	for _, c := range cases {
		header := http.Header{}
		if name, value, given := strings.Cut(c.header, ": "); given {
			header.Set(name, value)
		}
		if got := call(t, web.outbound(t), "orders", c.path, header); got.body != c.want {
			t.Errorf("%s %s: got %d %q, want %q", c.path, c.header, got.status, got.body, c.want)
		}
	}
	if got := call(t, web.outbound(t), "orders", "/empty", nil); got.status != 503 {
		t.Errorf("a subset without instances: got %d %s", got.status, got.body)
	}
	seen := map[string]int{}
	for range 60 {
		seen[call(t, web.outbound(t), "orders", "/split", nil).body]++
	}
	if seen["v1 orders /split"] < 10 || seen["v2 orders /split"] < 10 {
		t.Errorf("split 50/50: %v", seen)
	}
}

func TestWebSocketsPassBothSidecars(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		upgradeAndEcho(server)
	}()
	t.Cleanup(func() { server.Close(); <-done })
	ip, port := splitAddress(t, server.Addr().String())
	orders := service("orders", mesh.HTTP)
	orders.Traffic.Timeout = mesh.Duration(100 * time.Millisecond) // is for requests, and not for what they became
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "orders"), orders},
		Instances: []mesh.Instance{behindSidecar(t, orders, "orders-1", ip, port)},
	})
	c, err := net.DialTimeout("tcp", web.outbound(t), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n")
	reader := bufio.NewReader(c)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %s", response.Status)
	}
	for _, line := range []string{"hello\n", "again\n"} {
		// Longer than the timeout: that the connection is not cut off then can only
		// be seen by letting that time pass.
		<-time.After(150 * time.Millisecond)
		fmt.Fprint(c, line)
		if got, err := reader.ReadString('\n'); got != line {
			t.Fatalf("sent %q, got %q %v", line, got, err)
		}
	}
}

// upgradeAndEcho takes one connection at a time, agrees to any upgrade and
// sends lines back.
func upgradeAndEcho(server net.Listener) {
	for {
		c, err := server.Accept()
		if err != nil {
			return
		}
		reader := bufio.NewReader(c)
		if request, err := http.ReadRequest(reader); err == nil && request.Header.Get("Upgrade") == "websocket" {
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			for {
				line, err := reader.ReadString('\n')
				if err != nil {
					break
				}
				fmt.Fprint(c, line)
			}
		}
		c.Close()
	}
}
