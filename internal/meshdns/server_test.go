package meshdns_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/meshdns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolverPort is the one port of all resolvers of these tests, each on an address
// of its own: resolv.conf names no ports.
var resolverPort = sync.OnceValue(func() uint16 {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer socket.Close()
	return netip.MustParseAddrPort(socket.LocalAddr().String()).Port()
})

var lastAddress atomic.Uint32

// resolver runs a DNS server for the others' names, and gives its address.
func resolver(t *testing.T, handle dns.HandlerFunc) string {
	t.Helper()
	n := lastAddress.Add(1)
	address := fmt.Sprintf("127.53.%d.%d", n>>8, n&0xFF)
	at := fmt.Sprintf("%s:%d", address, resolverPort())
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []*dns.Server{{PacketConn: packets, Handler: handle}, {Listener: listener, Handler: handle}} {
		started, serving := make(chan struct{}), sync.WaitGroup{}
		one.NotifyStartedFunc = func() { close(started) }
		serving.Go(func() { _ = one.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = one.Shutdown(); serving.Wait() })
	}
	return address
}

// server runs the server under test in front of resolvers.
func server(t *testing.T, resolvers ...string) (at string, resolvConf string, log *logtest.Buffer) {
	t.Helper()
	resolvConf = filepath.Join(t.TempDir(), "resolv.conf")
	name(t, resolvConf, resolvers...)
	log = &logtest.Buffer{}
	s, err := meshdns.Listen(meshdns.Config{
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, ResolvConf: resolvConf, ResolverPort: resolverPort(),
		Timeout: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	return s.Addresses()[0].String(), resolvConf, log
}

func name(t *testing.T, resolvConf string, resolvers ...string) {
	t.Helper()
	var text strings.Builder
	text.WriteString("search default.svc.cluster.local\noptions ndots:5\n")
	for _, one := range resolvers {
		text.WriteString("nameserver " + one + "\n")
	}
	if err := os.WriteFile(resolvConf, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, network, at, name string, kind uint16, change ...func(*dns.Msg)) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, kind)
	for _, f := range change {
		f(query)
	}
	client := dns.Client{Net: network, Timeout: 10 * time.Second, UDPSize: 4096}
	answer, _, err := client.Exchange(query, at)
	if err != nil {
		t.Fatalf("%s %s: %v", network, name, err)
	}
	return answer
}

func TestNamesOfTheMesh(t *testing.T) {
	at, _, _ := server(t) // nobody else is asked
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name    string
			kind    uint16
			code    int
			address bool
		}{
			{"orders.mesh.", dns.TypeA, dns.RcodeSuccess, true},
			{"OrDers.MESH.", dns.TypeA, dns.RcodeSuccess, true}, // resolvers vary the case against forgery
			{"nobody.mesh.", dns.TypeA, dns.RcodeSuccess, true},
			{"orders.mesh.", dns.TypeAAAA, dns.RcodeSuccess, false},
			{"orders.mesh.", dns.TypeHTTPS, dns.RcodeSuccess, false},
			{"orders.mesh.", dns.TypeMX, dns.RcodeSuccess, false},
			{"mesh.", dns.TypeA, dns.RcodeSuccess, false},
			{"a.orders.mesh.", dns.TypeA, dns.RcodeNameError, false},
			{"_x.mesh.", dns.TypeA, dns.RcodeNameError, false},
		} {
			answer := ask(t, network, at, c.name, c.kind)
			if answer.Rcode != c.code || len(answer.Question) != 1 || answer.Question[0].Name != c.name || !answer.Authoritative {
				t.Errorf("%s %s: got %v", c.name, dns.TypeToString[c.kind], answer)
			}
			if c.address {
				first, _, _ := strings.Cut(strings.ToLower(c.name), ".")
				if a, is := answer.Answer[0].(*dns.A); !is || a.A.String() != mesh.VirtualAddress(mesh.ServiceName(first)).String() {
					t.Errorf("%s: got %v", c.name, answer)
				}
			} else if len(answer.Answer) != 0 || len(answer.Ns) != 1 || answer.Ns[0].Header().Rrtype != dns.TypeSOA {
				t.Errorf("%s %s: got %v", c.name, dns.TypeToString[c.kind], answer)
			}
		}
	}
	edns := ask(t, "udp", at, "orders.mesh.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, true) })
	if option := edns.IsEdns0(); option == nil || option.UDPSize() != 1232 || len(edns.Answer) != 1 {
		t.Errorf("with EDNS: %v", edns)
	}
	next := ask(t, "udp", at, "orders.mesh.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, false).IsEdns0().SetVersion(1) })
	if next.Rcode != dns.RcodeBadVers || len(next.Answer) != 0 {
		t.Errorf("with EDNS 1: %v", next)
	}
	if plain := ask(t, "udp", at, "orders.mesh.", dns.TypeA); plain.IsEdns0() != nil {
		t.Errorf("without EDNS: %v", plain)
	}
	if got := ask(t, "tcp", at, "example.org.", dns.TypeAXFR); got.Rcode != dns.RcodeNotImplemented {
		t.Errorf("a transfer: %v", got)
	}
}

// TestOthersArePassedOn byte for byte: what goes to the resolver, and what comes back.
func TestOthersArePassedOn(t *testing.T) {
	var mu sync.Mutex
	var asked *dns.Msg // guarded by mu
	upstream := resolver(t, func(w dns.ResponseWriter, query *dns.Msg) {
		mu.Lock()
		asked = query.Copy()
		mu.Unlock()
		reply := new(dns.Msg).SetReply(query)
		reply.AuthenticatedData = true
		count := 3
		if query.Question[0].Name == "large.example." {
			count = 200
		}
		for i := range count {
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 7}, Txt: []string{fmt.Sprintf("text %d", i)}})
		}
		reply.Answer = append(reply.Answer, &dns.RFC3597{Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: 65400, Class: dns.ClassINET}, Rdata: "abcdef"})
		if option := query.IsEdns0(); option != nil {
			reply.SetEdns0(1232, option.Do())
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			size := 512
			if option := query.IsEdns0(); option != nil {
				size = int(option.UDPSize())
			}
			reply.Truncate(size)
		}
		_ = w.WriteMsg(reply)
	})
	at, _, _ := server(t, upstream)
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}
	answer := ask(t, "udp", at, "Some.Example.", dns.TypeTXT, func(m *dns.Msg) {
		m.SetEdns0(1400, true)
		m.IsEdns0().Option = append(m.IsEdns0().Option, cookie)
		m.CheckingDisabled = true
	})
	if len(answer.Answer) != 4 || !answer.AuthenticatedData || answer.Authoritative || answer.Truncated || answer.Answer[3].Header().Rrtype != 65400 {
		t.Errorf("got %v", answer)
	}
	mu.Lock()
	if option := asked.IsEdns0(); !asked.CheckingDisabled || asked.Question[0].Name != "Some.Example." || option == nil || option.UDPSize() != 1400 || !option.Do() || option.Option[0].String() != cookie.String() {
		t.Errorf("the resolver was asked %v", asked)
	}
	mu.Unlock()
	if cut := ask(t, "udp", at, "large.example.", dns.TypeTXT); !cut.Truncated || len(cut.Answer) > 100 {
		t.Errorf("an answer that is too large is not cut: %v", cut)
	}
	if whole := ask(t, "tcp", at, "large.example.", dns.TypeTXT); whole.Truncated || len(whole.Answer) != 201 {
		t.Errorf("over TCP there are %d records", len(whole.Answer))
	}
	// Like mesh, and not of it.
	if other := ask(t, "udp", at, "orders.mesh.example.", dns.TypeTXT); len(other.Answer) != 4 {
		t.Errorf("got %v", other)
	}
}

func says(text string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		reply.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}}}
		_ = w.WriteMsg(reply)
	}
}

func code(code int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, query *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(query, code))
	}
}

// TestResolversThatFail: the next one is asked, and a resolver's own "I do not know"
// is told when no other knows.
func TestResolversThatFail(t *testing.T) {
	silent := resolver(t, func(dns.ResponseWriter, *dns.Msg) {})
	forged := resolver(t, func(w dns.ResponseWriter, query *dns.Msg) { // answers that are to be taken for others' are not
		wrong := new(dns.Msg).SetReply(query)
		wrong.Id++
		_ = w.WriteMsg(wrong)
		wrong = new(dns.Msg).SetReply(query)
		wrong.Question[0].Name = "other."
		_ = w.WriteMsg(wrong)
		says("the right one")(w, query)
	})
	good, servfail, refused := resolver(t, says("good")), resolver(t, code(dns.RcodeServerFailure)), resolver(t, code(dns.RcodeRefused))
	missing := resolver(t, code(dns.RcodeNameError))
	closed := "127.53.99.99" // nothing listens there
	for name, c := range map[string]struct {
		resolvers []string
		code      int
		text      string
	}{
		"silent, then good":  {[]string{silent, good}, 0, "good"},
		"closed, then good":  {[]string{closed, good}, 0, "good"},
		"unsure, then good":  {[]string{servfail, refused, good}, 0, "good"},
		"forged":             {[]string{forged}, 0, "the right one"},
		"no such name":       {[]string{missing, good}, dns.RcodeNameError, ""},
		"unsure":             {[]string{refused, silent}, dns.RcodeRefused, ""},
		"none answers":       {[]string{silent, closed}, dns.RcodeServerFailure, ""},
		"there is none":      {nil, dns.RcodeServerFailure, ""},
		"one is no resolver": {[]string{"what", good}, 0, "good"},
	} {
		t.Run(name, func(t *testing.T) {
			at, _, log := server(t, c.resolvers...)
			for _, network := range []string{"udp", "tcp"} {
				if name == "forged" && network == "tcp" {
					continue
				}
				answer := ask(t, network, at, "example.org.", dns.TypeTXT)
				if answer.Rcode != c.code || c.text != "" && (len(answer.Answer) != 1 || answer.Answer[0].(*dns.TXT).Txt[0] != c.text) {
					t.Errorf("%s: got %v", network, answer)
				}
			}
			if c.code == dns.RcodeServerFailure && !strings.Contains(log.String(), "no resolver answers") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

// TestAResolverThatIsSilentIsAskedLast for a while, so that not each query waits for it.
func TestAResolverThatIsSilentIsAskedLast(t *testing.T) {
	var asked atomic.Int32
	silent := resolver(t, func(dns.ResponseWriter, *dns.Msg) { asked.Add(1) })
	at, _, _ := server(t, silent, resolver(t, says("good")))
	for range 5 {
		ask(t, "udp", at, "example.org.", dns.TypeTXT)
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("it was asked %d times", got)
	}
}

// TestResolvConfIsReadAgain: a machine may come to another network.
func TestResolvConfIsReadAgain(t *testing.T) {
	at, file, _ := server(t, resolver(t, says("first")))
	second := resolver(t, says("second"))
	ask(t, "udp", at, "example.org.", dns.TypeTXT)
	name(t, file, second)
	for end := time.Now().Add(20 * time.Second); ; {
		answer := ask(t, "udp", at, "example.org.", dns.TypeTXT)
		if answer.Answer[0].(*dns.TXT).Txt[0] == "second" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the new resolver is not asked")
		}
	}
	if err := os.Remove(file); err != nil { // what is known stays
		t.Fatal(err)
	}
	if answer := ask(t, "udp", at, "example.org.", dns.TypeTXT); len(answer.Answer) != 1 {
		t.Errorf("without the file: %v", answer)
	}
}

// TestItsOwnQueriesDoNotGoRound: redirected rules that do not leave the sidecar's
// user alone bring its queries back to it.
func TestItsOwnQueriesDoNotGoRound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	name(t, file, "127.0.0.1")
	log := &logtest.Buffer{}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := addrPort(free.Addr()).Port()
	free.Close()
	s, err := meshdns.Listen(meshdns.Config{
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: mesh.Port(port), ResolvConf: file, ResolverPort: port,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, network := range []string{"udp", "tcp"} {
		began := time.Now()
		if answer := ask(t, network, s.Addresses()[0].String(), "example.org.", dns.TypeA); answer.Rcode != dns.RcodeServerFailure || time.Since(began) > 1500*time.Millisecond {
			t.Errorf("%s, after %s: %v", network, time.Since(began), answer)
		}
	}
	if !strings.Contains(log.String(), "come back to it") {
		t.Errorf("the log says %s", log)
	}
}

func addrPort(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }

// TestMoreQueriesThanItTakes: those beyond the bound are dropped, names of the mesh
// are answered still once there is room, and nothing piles up.
func TestMoreQueriesThanItTakes(t *testing.T) {
	var most, now atomic.Int32
	slow := resolver(t, func(w dns.ResponseWriter, query *dns.Msg) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(200 * time.Millisecond)
		now.Add(-1)
		says("slow")(w, query)
	})
	at, _, log := server(t, slow)
	flood, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		raw, err := new(dns.Msg).SetQuestion("example.org.", dns.TypeTXT).Pack()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = flood.Write(raw)
	}
	if !strings.Contains(log.String(), "too many queries at once") {
		t.Errorf("the log says %s", log)
	}
	var answer *dns.Msg
	for end := time.Now().Add(10 * time.Second); answer == nil && time.Now().Before(end); {
		client := dns.Client{Timeout: 500 * time.Millisecond}
		answer, _, _ = client.Exchange(new(dns.Msg).SetQuestion("orders.mesh.", dns.TypeA), at)
	}
	if answer == nil || len(answer.Answer) != 1 {
		t.Errorf("after the flood: %v", answer)
	}
	// On a busy machine some are under way here that the server waits for no more.
	if got := most.Load(); got > 2*512 {
		t.Errorf("%d were under way", got)
	}
}

// TestResolversThatAreSilentKeepNoNamesOfTheMesh: while as many queries wait for other
// resolvers as may, names of the mesh are told.
func TestResolversThatAreSilentKeepNoNamesOfTheMesh(t *testing.T) {
	silent := resolver(t, func(dns.ResponseWriter, *dns.Msg) {})
	const times = 20 // it is asked as often, 300 ms each
	at, _, log := server(t, slices.Repeat([]string{silent}, times)...)
	flood, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	raw, err := new(dns.Msg).SetQuestion("example.org.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(times * 300 * time.Millisecond / 2)
	for !strings.Contains(log.String(), "too many queries at once") {
		if time.Now().After(end) {
			t.Fatalf("there were not too many: %s", log)
		}
		_, _ = flood.Write(raw)
	}
	client := dns.Client{Timeout: 300 * time.Millisecond} // a packet may be lost in the flood
	for time.Now().Before(end) {
		if answer, _, err := client.Exchange(new(dns.Msg).SetQuestion("orders.mesh.", dns.TypeA), at); err == nil && len(answer.Answer) == 1 {
			return
		}
	}
	t.Error("names of the mesh wait for other resolvers")
}

// TestTCPKeepsItsPlace: several queries on one connection, and one that says nothing
// does not keep others out.
func TestTCPKeepsItsPlace(t *testing.T) {
	at, _, _ := server(t, resolver(t, says("good")))
	for range 20 {
		silent, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		_, _ = silent.Write([]byte{0xFF})
	}
	connection, err := dns.DialTimeout("tcp", at, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for i := range 4 {
		name := []string{"orders.mesh.", "example.org."}[i%2]
		if err := connection.WriteMsg(new(dns.Msg).SetQuestion(name, dns.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		_ = connection.SetReadDeadline(time.Now().Add(5 * time.Second))
		if answer, err := connection.ReadMsg(); err != nil || len(answer.Answer) != 1 {
			t.Errorf("got %v, %v", answer, err)
		}
	}
}

func TestAPortThatIsTakenIsToldWithItsFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = meshdns.Listen(meshdns.Config{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: mesh.Port(addrPort(taken.Addr()).Port())})
	if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "--dns-port") {
		t.Errorf("got %v", err)
	}
}
