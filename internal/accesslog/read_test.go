package accesslog

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// entry is a report as Envoy writes it.
func entry(kind datav3.AccessLogType, cluster string, tags ...string) *datav3.TCPAccessLogEntry {
	common := &datav3.AccessLogCommon{AccessLogType: kind, UpstreamCluster: cluster, CustomTags: map[string]string{}, ResponseFlags: &datav3.ResponseFlags{}}
	for _, tag := range tags {
		name, value, _ := strings.Cut(tag, "=")
		common.CustomTags[name] = value
	}
	return &datav3.TCPAccessLogEntry{CommonProperties: common, ConnectionProperties: &datav3.ConnectionProperties{}}
}

// scanned is an entry as it is read from the wire.
func scanned(t testing.TB, e *datav3.TCPAccessLogEntry) *report {
	t.Helper()
	wire, err := proto.Marshal(e)
	r := &report{}
	if err == nil {
		err = r.read(wire)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// FuzzMessage: whatever comes, nothing panics, and what is counted has a name that
// may stand anywhere.
func FuzzMessage(f *testing.F) {
	wire, err := proto.Marshal(hello("web/web-1", mesh.CallsReport, entry(datav3.AccessLogType_DownstreamEnd, "orders", "code=200", "host=orders")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := &message{}
		if m.UnmarshalWire(mem.BufferSlice{mem.SliceBuffer(wire)}) != nil {
			return
		}
		for i := range m.reports {
			for _, log := range []string{mesh.CallsReport, mesh.RefusalsReport, mesh.StrangersReport} {
				s, is := read(log, i%2 == 0, &m.reports[i])
				if is && (s.name == "" || len(s.name) > 300 || strings.ContainsFunc(s.name, func(r rune) bool { return r <= ' ' || r > '~' })) {
					t.Errorf("%+q", s.name)
				}
			}
		}
	})
}

func TestWhatAReportCountsAs(t *testing.T) {
	const end, connected, closed = datav3.AccessLogType_DownstreamEnd, datav3.AccessLogType_TcpUpstreamConnected, datav3.AccessLogType_TcpConnectionEnd
	unreached := entry(closed, "ledger")
	unreached.CommonProperties.ResponseFlags.UpstreamConnectionFailure = true
	stranger := entry(end, "app.orders", "code=200")
	stranger.CommonProperties.DownstreamDirectRemoteAddress = &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "10.0.0.9"}}}
	failing := proto.CloneOf(stranger)
	failing.CommonProperties.CustomTags["grpc"] = "14"
	to := func(name string) peer { return peer{name: name} }
	from := func(name string) peer { return peer{name, true} }
	for name, c := range map[string]struct {
		log   string
		entry *datav3.TCPAccessLogEntry
		want  seen
		none  bool
	}{
		"a call":                           {mesh.CallsReport, entry(end, "orders", "code=200", "details=via_upstream", "reason=-"), seen{peer: to("orders"), counted: true}, false},
		"one without an identity":          {mesh.CallsReport, entry(end, "plain.orders", "code=404", "details=via_upstream"), seen{peer: to("orders"), counted: true}, false},
		"an error":                         {mesh.CallsReport, entry(end, "push.orders", "code=503", "details=no_healthy_upstream"), seen{peer: to("orders"), counted: true, failed: true, failure: "503 no-answer"}, false},
		"the program's own":                {mesh.CallsReport, entry(end, "orders", "code=500", "details=via_upstream"), seen{peer: to("orders"), counted: true, failed: true, failure: "500"}, false},
		"a program that is dead":           {mesh.CallsReport, entry(end, "orders", "code=503", "details=via_upstream", "reason=unreached"), seen{peer: to("orders"), counted: true, failed: true, failure: "503 unreached"}, false},
		"a status that is none":            {mesh.CallsReport, entry(end, "orders", "code=5<b>", "details=via_upstream"), seen{peer: to("orders"), counted: true, failed: true}, false},
		"undeclared":                       {mesh.CallsReport, entry(end, "", "code=403", "details=direct_response", "reason=undeclared", "host=Api.Example.org:443"), seen{peer: to("api.example.org"), counted: true, refused: true, undeclared: true, reason: "undeclared"}, false},
		"by the AuthZ service":             {mesh.CallsReport, entry(end, "orders", "code=403", "details=ext_authz_denied", "reason=unapproved"), seen{peer: to("orders"), counted: true, refused: true, reason: "unapproved"}, false},
		"by the callee":                    {mesh.CallsReport, entry(end, "orders", "code=403", "details=via_upstream", "reason=caller"), seen{peer: to("orders"), counted: true, refused: true, there: true, reason: "caller"}, false},
		"an application cannot claim it":   {mesh.CallsReport, entry(end, "partner", "code=403", "details=via_upstream", "reason=undeclared"), seen{peer: to("partner"), counted: true}, false},
		"a reason that is no word":         {mesh.CallsReport, entry(end, "orders", "code=403", "details=direct_response", "reason=<b>"), seen{peer: to("orders"), counted: true}, false},
		"pending":                          {mesh.CallsReport, entry(end, "", "code=503", "details=direct_response", "reason=pending", "host=later.mesh"), seen{peer: to("later"), counted: true, failed: true, failure: "503 pending"}, false},
		"no host":                          {mesh.CallsReport, entry(end, "", "code=400", "details=direct_response", "reason=no-host", "host=-"), seen{}, true},
		"no route of a gateway":            {mesh.CallsReport, entry(end, "gateway.unavailable", "code=503", "host=shop.example"), seen{}, true},
		"a subset":                         {mesh.CallsReport, entry(end, "plain.subset.orders.v2", "code=200", "host=shop.example"), seen{peer: to("orders"), counted: true}, false},
		"a copy":                           {mesh.CallsReport, entry(end, "all.orders", "code=200", "host=shop.example"), seen{peer: to("orders"), counted: true}, false},
		"an absurd host":                   {mesh.CallsReport, entry(end, "", "code=403", "details=direct_response", "reason=undeclared", "host=bücher\u202e.example"), seen{peer: to(Other), counted: true, refused: true, undeclared: true, reason: "undeclared"}, false},
		"a long host":                      {mesh.CallsReport, entry(end, "", "code=403", "reason=undeclared", "host="+strings.Repeat("a", 254)), seen{peer: to(Other), counted: true, refused: true, undeclared: true, reason: "undeclared"}, false},
		"a stream that goes on":            {mesh.CallsReport, entry(datav3.AccessLogType_DownstreamPeriodic, "orders", "code=200"), seen{peer: to("orders")}, false},
		"a connection":                     {mesh.CallsReport, entry(connected, "ledger", "code=0"), seen{peer: to("ledger"), counted: true}, false},
		"its end":                          {mesh.CallsReport, entry(closed, "ledger", "code=0"), seen{peer: to("ledger")}, false},
		"a connection that was never made": {mesh.CallsReport, unreached, seen{peer: to("ledger"), counted: true, failed: true, failure: "no-connection"}, false},
		"a client that did not wait":       {mesh.CallsReport, entry(end, "orders", "code=0", "details=downstream_remote_disconnect"), seen{peer: to("orders"), counted: true, unanswered: true}, false},
		"refused here":                     {mesh.RefusalsReport, entry(end, "", "code=403", "reason=token", "peer=spiffe://mesh.test/service/web"), seen{peer: from("web"), counted: true, refused: true, reason: "token"}, false},
		"would be refused here":            {mesh.RefusalsReport, entry(end, "app.orders", "code=200", "reason=-", "peer=spiffe://mesh.test/gateway/edge"), seen{peer: from("gateway/edge"), counted: true, refused: true, reason: "caller"}, false},
		"nobody refused":                   {mesh.RefusalsReport, entry(end, "", "code=403", "peer=-"), seen{}, true},
		"a strange identity":               {mesh.RefusalsReport, entry(closed, "", "peer=spiffe://mesh.test/service/../x"), seen{peer: from(Other), counted: true, refused: true, reason: "caller"}, false},
		"in plain text":                    {mesh.StrangersReport, stranger, seen{peer: from("address/10.0.0.9"), counted: true}, false},
		"in plain text, gRPC":              {mesh.StrangersReport, failing, seen{peer: from("address/10.0.0.9"), counted: true, failed: true, failure: "grpc-status 14"}, false},
		"gRPC":                             {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=0", "details=via_upstream"), seen{peer: to("orders"), counted: true}, false},
		"gRPC, not found":                  {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=5", "details=via_upstream"), seen{peer: to("orders"), counted: true}, false},
		"gRPC, the program's own":          {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=13", "details=via_upstream"), seen{peer: to("orders"), counted: true, failed: true, failure: "grpc-status 13"}, false},
		"gRPC, the program forbids it":     {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=7", "details=via_upstream"), seen{peer: to("orders"), counted: true}, false},
		"gRPC, nobody there":               {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=14", "details=no_healthy_upstream", "reason=no-instance"), seen{peer: to("orders"), counted: true, failed: true, failure: "grpc-status 14 no-instance"}, false},
		"gRPC, late":                       {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=4", "details=response_timeout"), seen{peer: to("orders"), counted: true, failed: true, failure: "grpc-status 4 no-answer"}, false},
		"gRPC, undeclared":                 {mesh.CallsReport, entry(end, "", "code=200", "grpc=7", "details=direct_response", "reason=undeclared", "host=secret"), seen{peer: to("secret"), counted: true, refused: true, undeclared: true, reason: "undeclared"}, false},
		"gRPC, by the callee":              {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=16", "details=via_upstream", "reason=token"), seen{peer: to("orders"), counted: true, refused: true, there: true, reason: "token"}, false},
		"gRPC to what is TCP":              {mesh.CallsReport, entry(end, "", "code=200", "grpc=2", "details=direct_response", "reason=tcp", "host=ledger"), seen{peer: to("ledger"), counted: true, refused: true, reason: "tcp"}, false},
		"gRPC, a status that is none":      {mesh.CallsReport, entry(end, "orders", "code=200", "grpc=4<b>", "details=via_upstream"), seen{peer: to("orders"), counted: true, failed: true, failure: "grpc-status 2"}, false},
		"gRPC, an answer without one":      {mesh.CallsReport, entry(end, "orders", "code=503", "grpc=14", "details=via_upstream"), seen{peer: to("orders"), counted: true, failed: true, failure: "503"}, false},
		"in plain text, from nowhere":      {mesh.StrangersReport, entry(end, "app.orders"), seen{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, is := read(c.log, false, scanned(t, c.entry))
			if is == c.none || is && got != c.want {
				t.Errorf("%+v %v, want %+v", got, is, c.want)
			}
		})
	}
}

// TestRequestsThatNoRouteTakesAreNobodys: strangers ask a gateway for any hosts, those
// of services among them.
func TestRequestsThatNoRouteTakesAreNobodys(t *testing.T) {
	const end = datav3.AccessLogType_DownstreamEnd
	table := NewTable(newClock().now, services("orders"))
	s := NewService(table, nil, nil, nil)
	r := table.open("gateway/edge", true)
	defer table.close(r)
	m := &message{}
	for _, one := range []*datav3.TCPAccessLogEntry{
		entry(end, "", "code=404", "details=direct_response", "reason=no-route", "host=made-up.example"),
		entry(end, "", "code=404", "details=direct_response", "reason=no-route", "host=orders"),
		entry(end, "", "code=403", "details=direct_response", "reason=undeclared", "host=orders"),
		entry(end, "", "code=301", "host=shop.example"),
		entry(end, "gateway.unavailable", "code=503", "details=no_healthy_upstream", "reason=no-instance", "host=shop.example"),
		entry(end, "gateway.no-backend", "code=500", "details=no_healthy_upstream", "reason=refused", "host=shop.example"),
		entry(end, "orders", "code=200", "details=via_upstream", "host=shop.example"),
		entry(end, "plain.subset.orders.v2", "code=200", "details=via_upstream", "host=shop.example"),
	} {
		m.reports = append(m.reports, *scanned(t, one))
	}
	m.all = len(m.reports)
	s.count(r, mesh.CallsReport, m, nil)
	if rows := table.unsaved("gateway/edge").Rows; len(rows) != 1 || rows[0].Peer != "orders" || rows[0].Requests != 2 || rows[0].Refused != 0 {
		t.Errorf("%+v", rows)
	}
}

func TestHostsAsTheyWouldBeDeclared(t *testing.T) {
	for in, want := range map[string]string{
		"orders": "orders", "orders.mesh": "orders", "orders.mesh.": "orders", "ORDERS:80": "orders", "orders:": "orders", "[::1]:80": "[::1]", "[::1]": "[::1]",
		"10.0.0.1:8080": "10.0.0.1", "": "", "-": "", "a b": Other, "a/b": Other, "\xff": Other, "x\n": Other,
	} {
		if got := askedFor(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
