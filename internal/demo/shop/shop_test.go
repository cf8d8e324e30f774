package shop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
)

// serve runs a sample app until the test ends, and gives its address.
func serve(t *testing.T, id shop.Identity, sidecar shop.Sidecar) (*shop.App, string) {
	t.Helper()
	app, err := shop.New(id, sidecar)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s ended with %v", id.Instance, err)
		}
	})
	return app, l.Addr().String()
}

// router stands in the sidecar's place: it sends each request to the app that
// the Host header names, over HTTP/1.1 or HTTP/2 as it came.
type router struct {
	address string
	apps    map[string]string
}

func newRouter(t *testing.T) *router {
	t.Helper()
	r := &router{apps: map[string]string{}}
	server := httptest.NewUnstartedServer(nil)
	server.Config.Protocols = protocols()
	var h1, h2 http.Transport
	h2.Protocols = new(http.Protocols)
	h2.Protocols.SetUnencryptedHTTP2(true)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		app, known := r.apps[in.Host]
		if !known {
			w.Header().Set("X-Heddle-Reason", "undeclared")
			http.Error(w, "not declared: "+in.Host, http.StatusForbidden)
			return
		}
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: app})
		proxy.Transport = &h1
		if in.ProtoMajor == 2 {
			proxy.Transport, proxy.FlushInterval = &h2, -1
		}
		proxy.ServeHTTP(w, in)
	})
	server.Start()
	t.Cleanup(func() {
		server.Close()
		h1.CloseIdleConnections()
		h2.CloseIdleConnections()
	})
	r.address = server.Listener.Addr().String()
	return r
}

func protocols() *http.Protocols {
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	return both
}

// open starts the whole shop behind one router, and gives web's address.
func open(t *testing.T) (*router, string) {
	t.Helper()
	r := newRouter(t)
	_, ledger := serve(t, shop.Identity{Service: shop.Ledger, Instance: "ledger-1"}, shop.Sidecar{})
	sidecar := shop.Sidecar{HTTP: r.address, TCP: map[string]string{shop.Ledger: ledger}}
	_, r.apps[shop.Stock] = serve(t, shop.Identity{Service: shop.Stock, Instance: "stock-1"}, sidecar)
	_, r.apps[shop.Payments] = serve(t, shop.Identity{Service: shop.Payments, Instance: "payments-1"}, sidecar)
	_, r.apps[shop.Orders] = serve(t, shop.Identity{Service: shop.Orders, Instance: "orders-1", Version: "v1"}, sidecar)
	_, web := serve(t, shop.Identity{Service: shop.Web, Instance: "web-1"}, sidecar)
	return r, web
}

// got is an answer without its body, which was read.
type got struct {
	StatusCode int
	Header     http.Header
}

func get(t *testing.T, address string) (got, []byte) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{response.StatusCode, response.Header}, body
}

func TestCheckoutTellsItsWholeWay(t *testing.T) {
	_, web := open(t)
	response, body := get(t, web+"/checkout")
	var answer shop.Answer
	if err := json.Unmarshal(body, &answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %s: %v", response.StatusCode, body, err)
	}
	if err := answer.Checkout(); err != nil {
		t.Errorf("%v: %s", err, body)
	}
	for service, instance := range map[string]string{
		shop.Web: "web-1", shop.Orders: "orders-1", shop.Payments: "payments-1", shop.Stock: "stock-1", shop.Ledger: "ledger-1",
	} {
		if part := answer.Find(service); part == nil || part.Instance != instance {
			t.Errorf("%s answered as %+v, expected %s", service, part, instance)
		}
	}
	if part := answer.Find(shop.Orders); part.Version != "v1" {
		t.Errorf("orders says it is version %q", part.Version)
	}
}

func TestOrdersAloneCallsNothing(t *testing.T) {
	_, web := open(t)
	_, body := get(t, web+"/orders")
	var answer shop.Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	if err := answer.Check(shop.Web, shop.Orders); err != nil {
		t.Error(err)
	}
	if calls := answer.Find(shop.Orders).Calls; len(calls) != 0 {
		t.Errorf("orders called %v", calls)
	}
}

func TestCallHandsOnWhatTheSidecarSays(t *testing.T) {
	r, web := open(t)
	response, body := get(t, web+"/call/reviews")
	if response.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "not declared: reviews") ||
		response.Header.Get(shop.ReasonHeader) != "undeclared" {
		t.Errorf("status %d, header %v, %s", response.StatusCode, response.Header, body)
	}
	app, address := serve(t, shop.Identity{Service: shop.Reviews, Instance: "reviews-1"}, shop.Sidecar{})
	r.apps[shop.Reviews] = address
	if response, body = get(t, web+"/call/reviews"); response.StatusCode != http.StatusOK || !strings.Contains(string(body), "reviews-1") {
		t.Errorf("status %d: %s", response.StatusCode, body)
	}
	if app.Served() != 1 || app.LastServed().IsZero() {
		t.Errorf("reviews counted %d requests, the last at %v", app.Served(), app.LastServed())
	}
}

func TestAFailedCallFailsTheCheckoutAndSaysWhere(t *testing.T) {
	for _, gone := range []string{shop.Payments, shop.Stock, shop.Orders} {
		t.Run(gone, func(t *testing.T) {
			r, web := open(t)
			delete(r.apps, gone)
			response, body := get(t, web+"/checkout")
			if response.StatusCode != http.StatusBadGateway || !strings.Contains(string(body), "call "+gone) {
				t.Errorf("status %d: %s", response.StatusCode, body)
			}
			var answer shop.Answer
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(answer.Error, "{") { // JSON within
				t.Errorf("the reason is not plain: %s", answer.Error)
			}
			if answer.Checkout() == nil {
				t.Error("the answer passes for a whole checkout")
			}
		})
	}
}

func TestPaymentsOutliveALedgerThatEndsConnections(t *testing.T) {
	first, stop := context.WithCancel(context.Background())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := shop.New(shop.Identity{Service: shop.Ledger, Instance: "ledger-1"}, shop.Sidecar{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- ledger.Serve(first, l) }()
	_, payments := serve(t, shop.Identity{Service: shop.Payments, Instance: "payments-1"},
		shop.Sidecar{TCP: map[string]string{shop.Ledger: l.Addr().String()}})
	if response, body := get(t, payments+"/payments"); response.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", response.StatusCode, body)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if response, _ := get(t, payments+"/payments"); response.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d without a ledger", response.StatusCode)
	}
	again, err := net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second, err := shop.New(shop.Identity{Service: shop.Ledger, Instance: "ledger-2"}, shop.Sidecar{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- second.Serve(ctx, again) }()
	if response, body := get(t, payments+"/payments"); response.StatusCode != http.StatusOK || !strings.Contains(string(body), "ledger-2") {
		t.Errorf("status %d: %s", response.StatusCode, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestLedgerRefusesOtherLines(t *testing.T) {
	_, address := serve(t, shop.Identity{Service: shop.Ledger, Instance: "ledger-1"}, shop.Sidecar{})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "STEAL 100\nPAY\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for _, want := range []string{"is not understood: send PAY", "balance 1"} {
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Errorf("got %q, want %q", lines.Text(), want)
		}
	}
}

func TestThereAreOnlyTheSampleApps(t *testing.T) {
	if _, err := shop.New(shop.Identity{Service: "casino"}, shop.Sidecar{}); err == nil {
		t.Error("an app that does not exist was made")
	}
}

func TestWhoamiSaysWhoItIs(t *testing.T) {
	serves := func(tcp bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- shop.Whoami(shop.Identity{Service: "db", Instance: "host-1"}, tcp).Serve(ctx, l) }()
		t.Cleanup(func() {
			end()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return l.Addr().String()
	}
	const want = `{"service":"db","instance":"host-1"}`
	if _, body := get(t, serves(false)+"/"); strings.TrimSpace(string(body)) != want {
		t.Errorf("over HTTP: %s", body)
	}
	conn, err := net.Dial("tcp", serves(true))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "?\n"); err != nil || !lines.Scan() || lines.Text() != want {
			t.Errorf("over TCP: %q, %v", lines.Text(), err)
		}
	}
}
