package kubernetes_test

import (
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// images are what deploy/Dockerfile makes, an application, and what keeps a pod's
// namespaces; all of them programs of this machine.
func images(t testing.TB, h *host) []kubetest.Image {
	t.Helper()
	heddle := kubetest.Image{
		Name: "docker.io/library/heddle:test", User: "65532:65532", Entrypoint: []string{"heddle"},
		Files: map[string]string{"/usr/local/bin/heddle": filepath.Join(h.binary, "heddle"), "/usr/local/bin/envoy": filepath.Join(h.binary, "envoy")},
		Links: map[string]string{},
	}
	multi, err := exec.LookPath("xtables-nft-multi")
	if err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	heddle.Files["/usr/sbin/xtables-nft-multi"] = multi
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		heddle.Links["/usr/sbin/"+name] = "xtables-nft-multi"
	}
	modules, err := filepath.Glob("/usr/lib/*/xtables/lib*.so")
	if err != nil || len(modules) == 0 {
		t.Fatalf("the modules of iptables: %v", err)
	}
	for _, file := range modules {
		heddle.Files[file] = file
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	return []kubetest.Image{
		heddle,
		{Name: "docker.io/library/app:test", Entrypoint: []string{"/app"}, Files: map[string]string{"/app": filepath.Join(h.binary, "app")}},
		{Name: "docker.io/library/pause:test", Entrypoint: []string{"/sleep", "infinity"}, Files: map[string]string{"/sleep": sleep}},
	}
}

// resolve answers for the cluster's DNS: it knows one name, outside.test, at which
// a server answers that is not of the mesh.
func resolve(t testing.TB) {
	t.Helper()
	app(t, hostAddress+":8088", "outside")
	packets, err := net.ListenPacket("udp", hostAddress+":53")
	if err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		asked := query.Question[0]
		if asked.Name != "outside.test." {
			reply.Rcode = dns.RcodeNameError
		} else if asked.Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(hostAddress)}}
		}
		_ = w.WriteMsg(reply)
	})}
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-ended); err != nil {
			t.Error("stop the resolver: ", err)
		}
	})
}
