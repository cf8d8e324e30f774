package xds_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// Of twenty proxies in a scope, three of them real Envoys that have been there
// longest, exactly one is sent a cluster that Envoy refuses. The others go on
// without a word, and all have the mended one.
func TestEnvoyCanary(t *testing.T) {
	envoytest.Path(t)
	first := backend(t, "first")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := xds.NewServer(xds.Config{Scopes: scopes{}, CanaryWait: time.Minute})
	stop := serveOn(t, server, listener)
	defer stop()
	w := &envoyWorld{t: t, members: map[xds.Key]*xds.Resource{}}
	server.Apply(w.update(nil, edsCluster("one", time.Second), endpoints("one", first), httpListener(t), routes("one")))
	var load *load
	for i := range 3 {
		bootstrap := bytes.Replace(envoyBootstrap(t, "DELTA_GRPC", listener.Addr().String()), []byte("web/1"), fmt.Appendf(nil, "web/envoy%d", i), 1)
		load = startLoad(t, envoytest.Start(t, bootstrap).Listener(t, "out"))
		load.expect("first")
	}
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &rig{t: t, server: server, conn: conn}
	for i := range 17 {
		r.proxy(t, fmt.Sprint("web/", i), "out")
	}
	have := func() (nacks, current int) {
		for _, p := range server.Status() {
			all := len(p.Types) >= 3
			for _, one := range p.Types {
				nacks += int(one.Nacks)
				all = all && one.BehindSince.IsZero() && one.Acknowledged != ""
			}
			if all {
				current++
			}
		}
		return nacks, current
	}
	eventually(t, "all have everything", func() bool { _, n := have(); return n == 20 })

	server.Apply(w.update(nil, &clusterv3.Cluster{Name: "two", ConnectTimeout: durationpb.New(time.Second), LbPolicy: clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG}))
	eventually(t, "it is quarantined", func() bool { return len(server.Quarantine()) == 1 })
	q := server.Quarantine()[0]
	if !strings.HasPrefix(q.Node, "web/envoy") || q.Origin.Object != "two" {
		t.Errorf("refused by %s, from %v: %s", q.Node, q.Origin, q.Message)
	}
	for node, want := range map[string]xds.HoldingState{q.Node: xds.HoldingRefused, "web/1": xds.HoldingWithheld} {
		_, held := server.Holdings(node, func(_, name string) bool { return name == "two" })
		if len(held) != 1 || held[0].State != want || held[0].Shown != xds.ShownGood || held[0].Refusal == nil || held[0].Refusal.Message != q.Message || held[0].Refusal.Node != q.Node {
			t.Errorf("%s is told to have %+v", node, held)
		}
	}
	server.Apply(w.update(nil, edsCluster("two", time.Second), endpoints("two", first), routes("two")))
	eventually(t, "all have the mended one", func() bool { _, n := have(); return n == 20 && len(server.Quarantine()) == 0 })
	if nacks, _ := have(); nacks != 1 {
		t.Errorf("%d refusals", nacks)
	}
}
