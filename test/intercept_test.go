package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// podsVariable has what the namespaces are called.
const podsVariable = "HEDDLE_TEST_PODS"

// podsHub is where the pods are reached.
var podsHub = heddletest.Hub{
	Variable: podsVariable, Name: func() string { hub, _ := podNamespaces(); return hub }, Build: buildPods, Drop: dropPods,
}

// TestInterception: three pods, each a network namespace with an application, a
// sidecar of another user and the rules of heddle intercept, in a mesh that takes
// nothing but mutual TLS. The applications know nothing of the mesh but names.
func TestInterception(t *testing.T) {
	for _, program := range []string{"iptables-restore", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	if podsHub.Inside(t, 5*time.Minute) {
		interception(t)
	}
}

// lines are what one of the servers outside says, for some seconds.
const lines = 10

// outsideWorld is a resolver and some servers, none of them of the mesh.
func outsideWorld(t *testing.T) {
	t.Helper()
	packets, err := net.ListenPacket("udp", podHub+":53")
	if err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	resolver := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		if asked := query.Question[0]; asked.Name != "outside.test." {
			reply.Rcode = dns.RcodeNameError
		} else if asked.Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(podHub)}}
		}
		_ = w.WriteMsg(reply)
	})}
	go func() { defer close(ended); _ = resolver.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = resolver.Shutdown(); <-ended })
	for _, port := range []string{"8088", "8089"} {
		heddletest.Serve(t, net.JoinHostPort(podHub, port), says("outside"))
	}
	heddletest.Serve(t, net.JoinHostPort(podHub6, "8088"), says("outside over IPv6"))
	for _, host := range []string{podHub, podHub6} {
		speaksOutside(t, net.JoinHostPort(host, "5432"))
	}
	heddletest.Serve(t, net.JoinHostPort(podHub, "8090"), func(w http.ResponseWriter, _ *http.Request) {
		for i := range lines {
			fmt.Fprintln(w, i)
			_ = http.NewResponseController(w).Flush() // fails when the client is gone
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// speaksOutside is a server outside of the mesh that speaks first.
func speaksOutside(t *testing.T, address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveTCP(connection, "a database outside") })
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
}

func interception(t *testing.T) {
	outsideWorld(t)
	s := startServer(t, "--tls-listen", podHub+":0", "--xds-tls-listen", podHub+":0", "--require-identity", "--mtls", "strict")
	orders, ledger := service("orders", mesh.HTTP), service("ledger", mesh.TCP)
	orders.Port, ledger.Port = 8080, 5432
	s.declare(orders, ledger, service("stock", mesh.HTTP), service("web", mesh.HTTP, "orders", "ledger"))
	called := newPod(t, s, 0, "orders", "--app-port", "8080")
	store := newPod(t, s, 1, "ledger", "--app-port", "5432")
	web := newPod(t, s, 2, "web")
	called.intercepts(t, "--inbound-ports", "8080")
	store.intercepts(t, "--inbound-ports", "5432", "--backend", "iptables-legacy")
	web.intercepts(t, "--exclude-outbound-ports", "8089")
	called.startApp(t, "http 8080 orders here")
	store.startApp(t, "tcp 5432 ledger here")
	var starting sync.WaitGroup
	for _, one := range []*pod{called, store, web} {
		starting.Go(func() { one.startSidecar(t) })
	}
	starting.Wait()

	wants := func(url string, status int, text string) {
		t.Helper()
		heddletest.Eventually(t, url, func() error {
			got, body, err := web.curl(appUID, url)
			if got != status || !strings.Contains(body, text) {
				return fmt.Errorf("got %d %q, %s\n%s", got, body, fmt.Sprint(err), web.Log.String())
			}
			return nil
		})
	}
	step := func(name string, do func()) {
		began := time.Now()
		do()
		t.Logf("%s: %s", name, time.Since(began).Round(time.Millisecond))
	}
	step("a dependency by its name", func() { wants("http://orders.mesh:8080/", http.StatusOK, "orders here, to 127.0.0.1:") })
	step("a dependency by its name, on another port", func() { wants("http://orders.mesh/", http.StatusOK, "orders here") })
	step("a TCP dependency by its name", func() { wants("telnet://ledger.mesh:5432", 0, "ledger here") })
	step("an undeclared name", func() {
		wants("http://stock.mesh/", http.StatusForbidden, `service "web" has not declared a dependency on "stock"`)
		began := time.Now()
		if _, body, _ := web.curl(appUID, "telnet://stock.mesh:5432"); strings.Contains(body, "here") || time.Since(began) > 15*time.Second {
			t.Errorf("another protocol, after %s: %q", time.Since(began), body)
		}
	})
	through := func() int { return web.counts(t, "tcp.outside.downstream_cx_total") }
	step("outside", func() {
		before := through()
		wants("http://outside.test:8088/", http.StatusOK, "outside")
		wants("http://["+podHub6+"]:8088/", http.StatusOK, "outside over IPv6")
		wants("telnet://"+podHub+":5432", 0, "a database outside") // a port that a dependency has, too
		wants("telnet://["+podHub6+"]:5432", 0, "a database outside")
		if got := through() - before; got != 4 {
			t.Errorf("%d of 4 connections to the outside went through the sidecar", got)
		}
	})
	step("many queries", func() {
		// So few ports that each is used again while the kernel knows its last use.
		ports := func(given string) {
			web.do(t, "nsenter", "--net=/run/netns/"+web.namespace, "bash", "-c", "echo "+given+" >/proc/sys/net/ipv4/ip_local_port_range")
		}
		ports("40000 40999")
		defer ports("41000 60999") // what comes has nothing to do with what was
		command := web.in(appUID, filepath.Join(web.dir, "app"))
		command.Env = append(os.Environ(), podApp+"=lookups "+podHub+":53 1000")
		if output, err := command.CombinedOutput(); err != nil || string(output) != "0 failed\n" {
			t.Errorf("2000 queries: %v: %s", err, output)
		}
	})
	step("what is left alone", func() {
		before := through()
		wants("http://outside.test:8089/", http.StatusOK, "outside")
		if status, _, err := web.curl(proxyUID, "http://"+podHub+":8088/"); status != http.StatusOK {
			t.Errorf("the sidecar's user: %d, %v", status, err)
		}
		if status, _, err := web.curl(proxyUID, "http://orders.mesh:8080/"); err == nil {
			t.Errorf("the sidecar's user asks the mesh: %d", status)
		}
		if got := through() - before; got != 0 {
			t.Errorf("%d connections went through the sidecar", got)
		}
		// Not redirected, and to the listener itself: refused, rather than for ever round.
		if _, _, err := web.curl(appUID, "http://127.0.0.1:15002/"); err == nil || through() != before {
			t.Errorf("the listener itself: %v, %d connections more", err, through()-before)
		}
	})
	step("calls in plain text", func() {
		for _, address := range []string{called.address, "[" + called.address6 + "]"} {
			client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			if response, err := client.Get("http://" + address + ":8080/"); err == nil { //nolint:noctx // it has a timeout
				response.Body.Close()
				t.Errorf("%s takes them: %s", address, response.Status)
			}
		}
	})
	step("the sidecar ends while answers are under way", func() {
		var outside, inside logtest.Buffer
		slowly := web.in(appUID, "curl", "-sS", "-N", "-m", "20", "http://outside.test:8090/")
		slowly.Stdout, slowly.Stderr = &outside, &outside
		asks := web.in(appUID, "bash", "-c", "exec 3<>/dev/tcp/ledger.mesh/5432; echo >&3; cat <&3")
		asks.Stdout, asks.Stderr = &inside, &inside
		for _, one := range []*exec.Cmd{slowly, asks} {
			if err := one.Start(); err != nil {
				t.Fatal(err)
			}
		}
		heddletest.Eventually(t, "both to begin", func() error {
			if outside.String() == "" || inside.String() == "" {
				return errors.New("nothing yet")
			}
			return nil
		})
		web.leave()
		if err := slowly.Wait(); err != nil || strings.Count(outside.String(), "\n") != lines {
			t.Errorf("outside: %d of %d lines: %v: %s", strings.Count(outside.String(), "\n"), lines, err, outside.String())
		}
		if err := asks.Wait(); err != nil || inside.String() != "ledger here\nstill here\n" {
			t.Errorf("a TCP dependency: %v: %s", err, inside.String())
		}
	})
	step("the sidecar is gone, and comes back", func() {
		if status, _, err := web.curl(appUID, "http://orders.mesh:8080/"); err == nil {
			t.Errorf("without it: %d", status)
		}
		web.startSidecar(t)
		wants("http://orders.mesh:8080/", http.StatusOK, "orders here")
	})
	step("the outside is refused", func() {
		web.leave()
		web.Arguments = append(web.Arguments, "--intercept-outside", "deny")
		web.startSidecar(t)
		wants("http://orders.mesh:8080/", http.StatusOK, "orders here")
		wants("telnet://ledger.mesh:5432", 0, "ledger here")
		wants("http://outside.test:8088/", http.StatusForbidden, `service "web" has not declared a dependency on "outside.test"`)
		var asking sync.WaitGroup // who says nothing is waited for some time, to be told in HTTP if that is what it speaks
		for _, url := range []string{"telnet://" + podHub + ":5432", "telnet://[" + podHub6 + "]:5432", "telnet://" + podHub + ":5433"} {
			asking.Go(func() {
				began := time.Now()
				if _, body, _ := web.curl(appUID, url); body != "" || time.Since(began) > 15*time.Second {
					t.Errorf("%s, after %s: %q", url, time.Since(began), body)
				}
			})
		}
		asking.Wait()
		began := time.Now()
		output, _ := web.in(appUID, "timeout", "8", "bash", "-c", "exec 3<>/dev/tcp/"+podHub+"/5432 && echo hello >&3; cat <&3").CombinedOutput()
		if strings.Contains(string(output), "outside") || time.Since(began) > 5*time.Second {
			t.Errorf("who speaks first, after %s: %q", time.Since(began), output)
		}
		wants("http://outside.test:8089/", http.StatusOK, "outside") // which is excluded
	})
	step("no longer redirected", func() {
		web.do(t, "nsenter", "--net=/run/netns/"+web.namespace, web.heddle, "intercept", "remove", "--keep-unit")
		if _, _, err := web.curl(appUID, "http://orders.mesh:8080/"); err == nil {
			t.Error("orders.mesh is reached still")
		}
		if status, _, err := web.curl(appUID, "http://"+podHub+":8088/"); status != http.StatusOK {
			t.Errorf("outside: %d, %v", status, err)
		}
	})
}
