package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// aMesh has a proxy that is well, one that refuses its listeners, and one that
// waits for its first answer.
func aMesh() meshStatus {
	now := time.Now()
	well := client.Proxy{Node: "orders/orders-1", Service: "orders", Connected: now.Add(-3 * time.Hour), Types: []client.ProxyType{
		{Type: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Sent: "5f2a9c01deadbeef", Acknowledged: "5f2a9c01deadbeef"},
		{Type: "type.googleapis.com/envoy.service.runtime.v3.Runtime", Sent: "7", Acknowledged: "7"},
		{
			Type: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", Sent: "b", Acknowledged: "b", Rejections: 1,
			Rejected: &client.Rejection{Message: "an old fault", At: now.Add(-2 * time.Hour), Version: "a"},
		},
	}}
	refusing := client.Proxy{Node: "web/web-1", Service: "web", Connected: now.Add(-5 * time.Minute), Types: []client.ProxyType{
		{
			Type: "type.googleapis.com/envoy.config.listener.v3.Listener", Sent: "12", Acknowledged: "11", Rejections: 3,
			BehindSince: now.Add(-90 * time.Second),
			Rejected: &client.Rejection{
				Message: "Error adding/updating listener(s) outbound.web: cannot bind\nsecond \x1b[31mline", At: now.Add(-60 * time.Second), Version: "12",
				Objects: []client.Origin{{Object: "service/web", Author: "admin", Revision: 41}},
			},
		},
	}}
	waiting := client.Proxy{Node: "web/web-2", Service: "web", Connected: now.Add(-10 * time.Second), Types: []client.ProxyType{
		{Type: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Sent: "1", BehindSince: now.Add(-10 * time.Second)},
	}}
	status := meshStatus{
		Server:   serverStatus{Address: "http://127.0.0.1:7080", Version: "heddle v1.2.3, go1.26.0 linux/amd64", Ready: true},
		Problems: []client.Problem{{Object: "service/web", Message: "depends on \"reviews\", which nobody has declared"}},
	}
	for _, p := range []client.Proxy{well, refusing, waiting} {
		behind, _ := p.Behind()
		status.Proxies = append(status.Proxies, proxyStatus{Proxy: p, Behind: behind})
	}
	return status
}

func TestStatusTable(t *testing.T) {
	var out bytes.Buffer
	con := &cli.Console{Out: &out, Err: io.Discard}
	if err := (&statusCmd{Output: "table"}).print(con, aMesh()); err != nil {
		t.Fatal(err)
	}
	golden(t, "status", out.Bytes())
}

// golden compares what was written with testdata/NAME.golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go test ./cmd/heddle -update if this is meant\n%s", diff)
	}
}

func TestStatusHasColoursForPersonsOnly(t *testing.T) {
	var out bytes.Buffer
	con := &cli.Console{Out: &out, Err: io.Discard, Palette: present.Palette{Color: true}}
	if err := (&statusCmd{Output: "table"}).print(con, aMesh()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\x1b[31m2 behind\x1b[0m") {
		t.Errorf("no red for what is behind:\n%s", out.String())
	}
	if piped := cli.NewConsole("heddle", strings.NewReader(""), &out, io.Discard); piped.Palette.Color || piped.Terminal {
		t.Error("a buffer was taken for a terminal")
	}
}

// Of a large mesh a person wants to see what needs looking at. Programs, and who
// asks for a service or for all, get everything.
func TestStatusOfManyProxiesCountsThoseThatAreUpToDate(t *testing.T) {
	status := aMesh()
	for i := range mostRows {
		status.Proxies = append(status.Proxies, proxyStatus{Proxy: client.Proxy{Node: fmt.Sprintf("shop/shop-%d", i)}})
	}
	show := func(c statusCmd, status meshStatus) string {
		t.Helper()
		var out bytes.Buffer
		if err := c.print(&cli.Console{Out: &out, Err: io.Discard}, status); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	short := show(statusCmd{Output: "table"}, status)
	order := []string{"proxies  53 connected, 2 behind\n", "\nPROXY ", "\nweb/web-1 ", "\nweb/web-2 ", "\n…and 51 that are up to date (--all shows them)\n", "\nweb/web-1 refused LDS", "\nOBJECT "}
	at := -1
	for _, text := range order {
		next := strings.Index(short[at+1:], text)
		if next < 0 {
			t.Fatalf("%q is missing, or not where it should be:\n%s", text, short)
		}
		at += 1 + next
	}
	if strings.Contains(short, "shop-") || strings.Contains(short, "orders-1") {
		t.Errorf("those that are up to date are shown:\n%s", short)
	}
	for name, c := range map[string]statusCmd{"--all": {Output: "table", All: true}, "a service": {Output: "table", Service: "shop"}, "json": {Output: "json"}, "yaml": {Output: "yaml"}} {
		if long := show(c, status); strings.Count(long, "shop/shop-") != mostRows || !strings.Contains(long, "orders-1") || strings.Contains(long, "--all") {
			t.Errorf("%s does not show all:\n%s", name, long)
		}
	}
	status.Proxies = status.Proxies[:mostRows]
	if all := show(statusCmd{Output: "table"}, status); strings.Count(all, "shop/shop-") != mostRows-3 || strings.Contains(all, "--all") {
		t.Errorf("a table of %d rows is cut:\n%s", mostRows, all)
	}
	well := status.Proxies[3:]
	status.Proxies = append(append(well[:0:0], well...), well...)
	if none := show(statusCmd{Output: "table"}, status); !strings.Contains(none, "\n\n94 that are up to date (--all shows them)\n") || strings.Contains(none, "PROXY") {
		t.Errorf("nobody is behind:\n%s", none)
	}
}

// Scripts read these names.
func TestStatusJSON(t *testing.T) {
	var out bytes.Buffer
	if err := (&statusCmd{Output: "json"}).print(&cli.Console{Out: &out}, aMesh()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Server  struct{ Ready bool }
		Proxies []struct {
			Node   string
			Behind bool
			Types  []struct {
				Sent, Acknowledged string
				Rejected           *struct{ Message string }
			}
		}
		Problems []struct{ Object, Message string }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	refusing := got.Proxies[1]
	if !got.Server.Ready || !refusing.Behind || refusing.Node != "web/web-1" || refusing.Types[0].Rejected == nil || got.Proxies[0].Behind || len(got.Problems) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestServiceTables(t *testing.T) {
	held := holding{
		objects: objectsOf([]mesh.Service{
			{Name: "web", Owner: "team-web", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{"orders", "reviews"}},
			{Name: "mail", Owner: "it", Protocol: mesh.TCP, Port: 25, Endpoints: mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: "mx.example.com"}}},
			{Name: "six", Owner: "it", Protocol: mesh.TCP, Port: 99, Endpoints: mesh.Endpoints{Static: []mesh.StaticEndpoint{{Address: "fd00::1", Port: 1}, {Address: "10.0.0.1", Port: 2}}}},
		}),
		pending: map[mesh.ServiceName][]mesh.ServiceName{"web": {"reviews"}},
	}
	instances := []mesh.Instance{{Service: "web", ID: "a", Health: mesh.Healthy}, {Service: "web", ID: "b", Health: mesh.Draining}}
	var out bytes.Buffer
	if err := servicesTable(present.Palette{}, false, held, instances).Write(&out); err != nil {
		t.Fatal(err)
	}
	if err := upstreamsTable(present.Palette{}, true, held.objects[1:]).Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `NAME   OWNER      PROTOCOL   PORT   INSTANCES   DEPENDENCIES      CHANGED
web    team-web   http       80     1/2         orders,reviews?   -
mail   it         tcp        25     dns         -                 -
six    it         tcp        99     static      -                 -
NAME   OWNER   PROTOCOL   PORT   TYPE     ADDRESSES                LISTENER   TLS   KEPT BY   AUTHOR   REVISION   CHANGED
mail   it      tcp        25     dns      mx.example.com:25        25         -     -         -        0          -
six    it      tcp        99     static   [fd00::1]:1,10.0.0.1:2   99         -     -         -        0          -
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
