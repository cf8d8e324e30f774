package accesslog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)} }

func services(names ...string) func(string) bool {
	return func(name string) bool {
		for _, one := range names {
			if one == name {
				return true
			}
		}
		return false
	}
}

func (t *Table) tell(reporter string, calls ...seen) {
	r := t.open(reporter, true)
	t.add(r, calls)
	t.close(r)
}

func TestRatesAreOfTheLastMinute(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, services("orders"))
	for range 60 {
		table.tell("web", seen{peer: peer{name: "orders"}, counted: true, failed: true})
		table.tell("web", seen{peer: peer{name: "orders"}, counted: true, refused: true, reason: "caller"})
		c.at = c.at.Add(time.Second)
	}
	c.at = c.at.Add(-time.Second)
	row := table.unsaved("web").Rows[0]
	if row.Rate < 1.9 || row.Rate > 2.2 || row.ErrorRate < 0.9 || row.ErrorRate > 1.1 || row.RefusedRate < 0.9 || row.Requests != 120 {
		t.Errorf("%+v", row)
	}
	c.at = c.at.Add(2 * time.Minute)
	if row := table.unsaved("web").Rows[0]; row.Rate != 0 || row.Requests != 120 || !row.LastSeen.Equal(c.at.Add(-2*time.Minute)) {
		t.Errorf("two minutes later: %+v", row)
	}
}

// TestWhatCameOfTheLastCall: when one was answered last, and when one failed last, with
// what its caller saw, outlasts servers as the refusals do.
func TestWhatCameOfTheLastCall(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, services("orders"))
	to := peer{name: "orders"}
	answered := c.at
	table.tell("web", seen{peer: to, counted: true})
	c.at = c.at.Add(time.Minute)
	failed := c.at
	table.tell("web", seen{peer: to, counted: true, failed: true, failure: "503 unreached"})
	c.at = c.at.Add(time.Minute)
	table.tell("web", seen{peer: to}, seen{peer: to, counted: true, unanswered: true}, seen{peer: to, counted: true, refused: true, reason: "caller"})
	var kept mesh.Sightings
	kept.Add(table.unsaved("web"), keptRows, table.known)
	kept.Add(mesh.Sightings{Rows: []mesh.Sighting{{Peer: "orders", LastAnswered: answered.Add(-time.Hour), LastFailed: failed.Add(-time.Hour), Failure: "500"}}}, keptRows, table.known)
	kept.Reporter = "web"
	edge := Edges([]mesh.Sightings{kept})[0]
	if !edge.LastAnswered.Equal(answered) || !edge.LastFailed.Equal(failed) || edge.Failure != "503 unreached" || !edge.LastSeen.Equal(c.at) {
		t.Errorf("%+v", edge)
	}
}

// TestNobodyFillsTheRoomOfOthers: an application that asks for ever new hosts is
// counted under one name, and takes nothing from anybody.
func TestNobodyFillsTheRoomOfOthers(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, services("orders"))
	for i := range 100_000 {
		table.tell("web", seen{peer: peer{name: fmt.Sprintf("host-%d.example", i)}, counted: true, refused: true, undeclared: true, reason: "undeclared"})
	}
	table.tell("web", seen{peer: peer{name: "orders"}, counted: true})
	table.tell("other", seen{peer: peer{name: "a.example"}, counted: true})
	rows := table.unsaved("web").Rows
	if len(rows) != maxUnknown+2 {
		t.Errorf("%d rows", len(rows))
	}
	var beyond uint64
	for _, row := range rows {
		if row.Peer == Other {
			beyond = row.Undeclared
		}
	}
	if beyond != 100_000-maxUnknown {
		t.Errorf("%d beyond the bound", beyond)
	}
	if rows := table.unsaved("other").Rows; len(rows) != 1 || rows[0].Peer != "a.example" {
		t.Errorf("%+v", rows)
	}
	// What is saved and silent makes room again.
	taken, _ := table.take("web")
	table.saved(taken)
	c.at = c.at.Add(2 * time.Hour)
	table.forget()
	if rows := table.unsaved("web").Rows; len(rows) != 0 || table.rows.Load() != 1 {
		t.Errorf("%d rows, %d in all", len(rows), table.rows.Load())
	}
}

// TestStrangersHaveLittleRoom: gateways of made-up names take nothing from whoever is
// declared, are gone an hour after they were saved, and hosts leave room for services.
func TestStrangersHaveLittleRoom(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, func(name string) bool { return strings.HasPrefix(name, "service-") })
	for i := range 2 * maxStrangers {
		r := table.open(fmt.Sprintf("gateway/stranger-%d", i), false)
		if (r == nil) != (i >= maxStrangers) {
			t.Fatalf("stranger %d: %v", i, r)
		}
		if r == nil {
			continue
		}
		for k := range 100 {
			table.add(r, []seen{{peer: peer{name: fmt.Sprintf("service-%d", k)}, counted: true}})
		}
		table.close(r)
	}
	if rows := table.rows.Load(); rows > maxStrangerRows+maxStrangers {
		t.Errorf("strangers have %d rows", rows)
	}
	for i := range 1000 {
		for k := range maxUnknown {
			table.tell(fmt.Sprintf("web-%d", i), seen{peer: peer{name: fmt.Sprintf("host-%d.example", k)}, counted: true})
		}
	}
	table.tell("web", seen{peer: peer{name: "service-1"}, counted: true})
	if rows := table.unsaved("web").Rows; len(rows) != 1 || rows[0].Peer != "service-1" {
		t.Errorf("%+v", rows)
	}
	open := table.open("gateway/stranger-0", false)
	for _, name := range table.names() {
		taken, _ := table.take(name)
		table.saved(taken)
	}
	c.at = c.at.Add(2 * time.Hour)
	table.forget()
	if names := table.names(); len(names) != 1 || names[0] != "gateway/stranger-0" {
		t.Errorf("%d are left: %.100q", len(names), names)
	}
	table.close(open)
	table.forget()
	if table.rows.Load() != 0 || table.strange.Load() != 0 || table.hosts.Load() != 0 || table.strangers != 0 || len(table.names()) != 0 {
		t.Errorf("%d rows, %d of strangers, %d hosts, %d strangers", table.rows.Load(), table.strange.Load(), table.hosts.Load(), table.strangers)
	}
}

func TestWhatWasSavedIsNotCountedAgain(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, services("orders"))
	call := seen{peer: peer{name: "orders"}, counted: true}
	table.tell("web", call, call)
	if !table.due("web", 0) {
		t.Error("something new is not due")
	}
	snapshot, _ := table.take("web")
	table.tell("web", call) // while it is saved
	table.saved(snapshot)
	if got := table.unsaved("web").Rows[0].Requests; got != 1 {
		t.Errorf("%d are unsaved", got)
	}
	if table.due("web", 0) {
		t.Error("it is due at once")
	}
	c.at = c.at.Add(time.Hour)
	if !table.due("web", 0) {
		t.Error("it is not due after an hour")
	}
}

// TestARowThatComesDuringASaveIsSavedSoon: so is what could not be saved.
func TestARowThatComesDuringASaveIsSavedSoon(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, services("orders", "ledger"))
	table.tell("web", seen{peer: peer{name: "orders"}, counted: true})
	_, giveBack := table.take("web")
	if table.due("web", soon) {
		t.Error("what is being saved is due")
	}
	giveBack()
	if !table.due("web", soon) {
		t.Error("what was not saved is not due")
	}
	taken, _ := table.take("web")
	table.tell("web", seen{peer: peer{name: "ledger"}, counted: true})
	table.saved(taken)
	c.at = c.at.Add(soon)
	if !table.due("web", soon) {
		t.Error("a row that came during the save is not due")
	}
}

// TestAGapBeginsTheWatchAnew: from then on only may something count as unused.
func TestAGapBeginsTheWatchAnew(t *testing.T) {
	c := newClock()
	table := NewTable(c.now, services("web"))
	began := c.at
	r := table.open("web", true)
	watched := func(want time.Time, why string) {
		t.Helper()
		var kept mesh.Sightings
		kept.Add(mesh.Sightings{Since: began.Add(-24 * time.Hour), Through: began.Add(-3 * time.Hour)}, keptRows, table.known)
		kept.Add(table.unsaved("web"), keptRows, table.known)
		if !kept.Since.Equal(want) || !kept.Through.Equal(c.at) {
			t.Errorf("%s: since %s through %s, want since %s", why, kept.Since, kept.Through, want)
		}
	}
	watched(began, "a gap before this server")
	for range 5 {
		c.at = c.at.Add(time.Hour)
		table.watchOpen()
	}
	watched(began, "a stream that is open")
	table.close(r)
	c.at = c.at.Add(mesh.WatchGap + time.Minute)
	if table.watchOpen(); table.watching("web") {
		t.Error("it is watched without a stream")
	}
	table.close(table.open("web", true))
	watched(c.at, "a gap in between")
	c.at = c.at.Add(time.Minute)
	table.note("web", (*reporter).loses)
	table.note("web", (*reporter).watch)
	watched(c.at, "a stream that was refused")
	other := mesh.Sightings{Since: began, Through: began.Add(time.Hour)}
	other.Add(mesh.Sightings{Since: began.Add(2 * time.Hour), Through: began.Add(3 * time.Hour)}, keptRows, table.known)
	if !other.Since.Equal(began) || !other.Through.Equal(began.Add(3*time.Hour)) {
		t.Errorf("servers that follow each other: %+v", other)
	}
}

func TestBothSidesOfACallAreOneEdge(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	edges := Edges([]mesh.Sightings{
		{Reporter: "web", Rows: []mesh.Sighting{{Peer: "orders", Requests: 10, Refused: 3, There: 2, FirstSeen: at, LastSeen: at, LastRefused: at, Reason: "no-token"}}},
		{Reporter: "orders", Rows: []mesh.Sighting{{Peer: "web", In: true, Requests: 5, Refused: 5, FirstSeen: at, LastSeen: at.Add(time.Minute), LastRefused: at.Add(time.Minute), Reason: "caller"}}},
	})
	want := mesh.Edge{Caller: "web", Callee: "orders", Requests: 10, Refused: 6, FirstSeen: at, LastSeen: at.Add(time.Minute), LastRefused: at.Add(time.Minute), Reason: "caller"}
	if len(edges) != 1 || edges[0] != want {
		t.Errorf("%+v", edges)
	}
}

// BenchmarkEntries is the way of an entry, as large as a real one, from the wire to
// the table.
func BenchmarkEntries(b *testing.B) {
	table := NewTable(time.Now, func(string) bool { return true })
	s := NewService(table, nil, nil, nil)
	out := hello("web/web-1", mesh.CallsReport)
	for i := range 100 {
		one := entry(datav3.AccessLogType_DownstreamEnd, fmt.Sprintf("service-%d", i%10), "code=200", "details=via_upstream", "reason=-", "host=service-1")
		address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "10.0.0.123", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 45678}}}}
		took := durationpb.New(12_345_678)
		p := one.CommonProperties
		p.DownstreamRemoteAddress, p.DownstreamLocalAddress, p.DownstreamDirectRemoteAddress, p.UpstreamRemoteAddress, p.UpstreamLocalAddress = address, address, address, address, address
		p.StartTime, p.Duration, p.TimeToLastRxByte, p.TimeToFirstUpstreamTxByte, p.TimeToLastUpstreamTxByte = timestamppb.Now(), took, took, took, took
		p.TimeToFirstUpstreamRxByte, p.TimeToLastUpstreamRxByte, p.TimeToFirstDownstreamTxByte, p.TimeToLastDownstreamTxByte = took, took, took, took
		p.StreamId, p.DownstreamWireBytesSent, p.UpstreamWireBytesReceived = "d598fa4f-38ba-4fe3-97dd-b32c89afd41e", 154, 178
		out.GetTcpLogs().LogEntry = append(out.GetTcpLogs().LogEntry, one)
	}
	wire, err := proto.Marshal(out)
	if err != nil {
		b.Fatal(err)
	}
	data := mem.BufferSlice{mem.SliceBuffer(wire)}
	m := &message{}
	var calls []seen
	reporters := make([]*reporter, 1000)
	for i := range reporters {
		reporters[i] = table.open(fmt.Sprintf("web-%d", i), true)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if err := m.UnmarshalWire(data); err != nil {
			b.Fatal(err)
		}
		calls = s.count(reporters[n%1000], mesh.CallsReport, m, calls)
	}
	b.ReportMetric(float64(len(wire))/100, "bytes/entry")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/entry")
}

// TestErrorsOfCallersInPlainTextAreShown: only the callee tells of those.
func TestErrorsOfCallersInPlainTextAreShown(t *testing.T) {
	got := Edges([]mesh.Sightings{{Reporter: "orders", Rows: []mesh.Sighting{{Peer: AddressCaller + "10.0.0.9", In: true, Requests: 4, Errors: 3, Rate: 2, ErrorRate: 1, Failure: "503", LastFailed: newClock().at}}}})
	if len(got) != 1 || got[0].Errors != 3 || got[0].ErrorRate != 1 || got[0].Failure != "503" {
		t.Errorf("%+v", got)
	}
}
