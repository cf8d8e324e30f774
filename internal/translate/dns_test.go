package translate_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// nameServer is a real DNS server whose answers the test changes.
type nameServer struct {
	address string
	mu      sync.Mutex
	answers map[string][]string // by name with a dot at its end; guarded by mu
	rcode   int                 // of answers without addresses; guarded by mu
	asked   map[string]int      // guarded by mu
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{address: conn.LocalAddr().String(), answers: map[string][]string{}, asked: map[string]int{}}
	started, ended := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(n.answer), NotifyStartedFunc: func() { close(started) }}
	go func() { ended <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = server.Shutdown()
		if err := <-ended; err != nil {
			t.Errorf("DNS server: %v", err)
		}
	})
	<-started
	return n
}

func (n *nameServer) answer(w dns.ResponseWriter, question *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	reply := new(dns.Msg)
	reply.SetReply(question)
	name := strings.ToLower(question.Question[0].Name)
	n.asked[name]++
	if question.Question[0].Qtype == dns.TypeA {
		for _, address := range n.answers[name] {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
				A:   net.ParseIP(address),
			})
		}
	}
	if len(reply.Answer) == 0 {
		reply.Rcode = n.rcode
	}
	_ = w.WriteMsg(reply) // the client asks again
}

// set changes what a name resolves to; without addresses it is answered with rcode.
func (n *nameServer) set(name string, rcode int, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[name], n.rcode = addresses, rcode
}

// awaitQuestions waits until the name was asked for some times more.
func (n *nameServer) awaitQuestions(t *testing.T, name string, more int) {
	t.Helper()
	count := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.asked[name]
	}
	start := count()
	eventually(t, "questions for "+name, func() bool { return count() >= start+more })
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for: %s", what)
		}
	}
}

// pods are two applications on one port of two addresses, as pods have.
func pods(t *testing.T) mesh.Port {
	t.Helper()
	for range 20 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		second, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err != nil {
			first.Close()
			continue
		}
		serveEcho(t, "first", first)
		serveEcho(t, "second", second)
		_, number := splitAddress(t, first.Addr().String())
		return number
	}
	t.Skip("no port is free on both 127.0.0.1 and 127.0.0.2: this machine's loopback has one address")
	return 0
}

// TestDNSServicesFollowTheirAnswers has a real Envoy resolve a headless
// Kubernetes name by a real DNS server, whose answers change.
func TestDNSServicesFollowTheirAnswers(t *testing.T) {
	refresh := map[mesh.DNSDiscovery]mesh.Duration{mesh.DNSLogical: mesh.Duration(200 * time.Millisecond)} // strict: by the TTL of 1 s
	for _, discovery := range []mesh.DNSDiscovery{mesh.DNSStrict, mesh.DNSLogical} {
		t.Run(string(discovery), func(t *testing.T) {
			t.Parallel() // most of it is waiting
			const name = "pods.default.svc.cluster.local."
			server := startNameServer(t)
			server.set(name, dns.RcodeSuccess, "127.0.0.1")
			port := pods(t)
			s := service("pods", mesh.HTTP)
			s.Endpoints.DNS = &mesh.DNSEndpoints{Host: "pods.default.svc.cluster.local", Port: port, Discovery: discovery, Refresh: refresh[discovery], Resolvers: []string{server.address}}
			web := startSidecar(t, &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "pods"), s}})
			seen := func() string { // by some requests, one letter for each application
				var out string
				for range 6 {
					got := call(t, web.outbound(t), "pods", "/", nil)
					if got.status != 200 {
						t.Fatalf("got %d %s", got.status, got.body)
					}
					if word, _, _ := strings.Cut(got.body, " "); !strings.Contains(out, word) {
						out += word
					}
				}
				return out
			}
			if got := seen(); got != "first" {
				t.Fatalf("one address: answered by %s", got)
			}
			server.set(name, dns.RcodeSuccess, "127.0.0.2")
			eventually(t, "the other address", func() bool { return seen() == "second" })
			if discovery == mesh.DNSStrict {
				server.set(name, dns.RcodeSuccess, "127.0.0.1", "127.0.0.2")
				eventually(t, "both addresses", func() bool { return len(seen()) == len("firstsecond") })
			}
			server.set(name, dns.RcodeServerFailure)
			failures := web.Stat(t, "cluster.pods.update_failure")
			eventually(t, "failed resolutions", func() bool { return web.Stat(t, "cluster.pods.update_failure") > failures+1 })
			seen() // fails the test when a request does

			// A server that knows that there is nothing is another thing than one that fails.
			server.set(name, dns.RcodeNameError)
			if discovery == mesh.DNSStrict {
				eventually(t, "no address", func() bool { return call(t, web.outbound(t), "pods", "/", nil).status == 503 })
			} else {
				server.awaitQuestions(t, name, 3)
				seen()
			}
			server.set(name, dns.RcodeSuccess, "127.0.0.1")
			eventually(t, "the name to come back", func() bool {
				return strings.HasPrefix(call(t, web.outbound(t), "pods", "/", nil).body, "first ")
			})
		})
	}
}

// TestPodsAreFoundByTheirKubernetesName has a real Envoy resolve the name with the
// dot at its end, which keeps search domains away.
func TestPodsAreFoundByTheirKubernetesName(t *testing.T) {
	t.Parallel()
	server := startNameServer(t)
	server.set("pods.shop.svc.cluster.local.", dns.RcodeSuccess, "127.0.0.1")
	port := pods(t)
	s := service("pods", mesh.HTTP)
	s.Endpoints.Kubernetes = &mesh.KubernetesEndpoints{Namespace: "shop", Discovery: mesh.KubernetesDNS}
	resolved := *s.Resolved()
	if resolved.Port, resolved.Resolvers = port, []string{server.address}; resolved.Host != "pods.shop.svc.cluster.local." {
		t.Fatal(resolved.Host)
	}
	s.Endpoints = mesh.Endpoints{DNS: &resolved} // the same, at a resolver that the test has
	web := startSidecar(t, &input{Proxy: mesh.Proxy{Service: "web", Instance: "web-1"}, Services: []mesh.Service{service("web", mesh.HTTP, "pods"), s}})
	eventually(t, "an answer", func() bool { return strings.HasPrefix(call(t, web.outbound(t), "pods", "/", nil).body, "first ") })
}
