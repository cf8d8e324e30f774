package accesslog

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// serve runs a service, and gives a client of it.
func serve(t *testing.T) (*Service, alsv3.AccessLogServiceClient) {
	t.Helper()
	s := NewService(NewTable(time.Now, services("orders")), func(_ context.Context, node *corev3.Node) (string, bool, error) {
		if node.GetId() != "web/web-1" {
			return "", false, status.Error(codes.PermissionDenied, "that is somebody else")
		}
		return "web", true, nil
	}, nil, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); s.Stop(); g.Stop(); <-done })
	return s, alsv3.NewAccessLogServiceClient(conn)
}

func hello(node, log string, entries ...*datav3.TCPAccessLogEntry) *alsv3.StreamAccessLogsMessage {
	return &alsv3.StreamAccessLogsMessage{
		Identifier: &alsv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: node}, LogName: log},
		LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: entries}},
	}
}

func TestReportsAreTakenFromWhoIsProven(t *testing.T) {
	s, c := serve(t)
	for name, one := range map[string]struct {
		message *alsv3.StreamAccessLogsMessage
		code    codes.Code
	}{
		"somebody else":      {hello("orders/orders-1", mesh.CallsReport), codes.PermissionDenied},
		"nobody":             {&alsv3.StreamAccessLogsMessage{}, codes.InvalidArgument},
		"a log of another's": {hello("web/web-1", "http"), codes.InvalidArgument},
	} {
		stream, err := c.StreamAccessLogs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(one.message)
		if err := stream.RecvMsg(&alsv3.StreamAccessLogsResponse{}); status.Code(err) != one.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	stream, err := c.StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	call := entry(datav3.AccessLogType_DownstreamEnd, "orders", "code=200", "details=via_upstream")
	for _, m := range []*alsv3.StreamAccessLogsMessage{hello("web/web-1", mesh.CallsReport, call), hello("ignored/later", mesh.RefusalsReport, call, call)} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err == nil {
		t.Error("there is an answer")
	}
	if rows := s.table.unsaved("web").Rows; len(rows) != 1 || rows[0].Requests != 3 || rows[0].In {
		t.Errorf("%+v", rows)
	}
}

func TestAServerThatStopsEndsItsStreams(t *testing.T) {
	s, c := serve(t)
	stream, err := c.StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(hello("web/web-1", mesh.CallsReport)); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := stream.RecvMsg(&alsv3.StreamAccessLogsResponse{}); status.Code(err) != codes.Unavailable || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestAMessageLeavesNothingBehind: of many small entries, which take far more in memory
// than on the wire, a stream that says nothing more pins none.
func TestAMessageLeavesNothingBehind(t *testing.T) {
	table := NewTable(time.Now, services("orders"))
	s := NewService(table, nil, nil, nil)
	r := table.open("web", true)
	defer table.close(r)
	call := *scanned(t, entry(datav3.AccessLogType_DownstreamEnd, "orders", "code=200"))
	for _, size := range []int{3, maxEntries} {
		m := &message{all: size}
		for range size {
			m.reports = append(m.reports, call)
		}
		calls := s.count(r, mesh.CallsReport, m, nil)
		if cap(m.reports) > maxRoom || cap(calls) > maxRoom {
			t.Errorf("of %d there is room for %d and %d", size, cap(m.reports), cap(calls))
		}
		for _, one := range m.reports[:cap(m.reports)] {
			if one != (report{}) {
				t.Errorf("%+v is kept", one)
			}
		}
	}
}

// TestAFloodIsBoundedByReporter: however many streams it has; and all of them are
// bounded together.
func TestAFloodIsBoundedByReporter(t *testing.T) {
	s := NewService(NewTable(time.Now, services("web", "orders")), nil, nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // less than another message has to wait
	defer cancel()
	first, second, other := s.table.open("web", true), s.table.open("web", true), s.table.open("orders", true)
	if err := s.wait(ctx, first, maxEntries); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(ctx, second, maxEntries); err == nil {
		t.Error("a second stream has a bound of its own")
	}
	if err := s.wait(ctx, other, maxEntries); err == nil {
		t.Error("two reporters have twice as much at once")
	}
}

// TestStreamsThatAreRefusedAreNoWatch: one that the server has no room for may have told
// of a call, so that nothing counts as unused for want of it.
func TestStreamsThatAreRefusedAreNoWatch(t *testing.T) {
	for name, full := range map[string]func(s *Service){
		"not introduced": func(s *Service) { s.opening.Store(maxOpening) },
		"introduced":     func(s *Service) { s.streams.Store(maxStreams) },
	} {
		t.Run(name, func(t *testing.T) {
			s, c := serve(t)
			s.table.tell("web")
			full(s)
			stream, err := c.StreamAccessLogs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(hello("web/web-1", mesh.CallsReport))
			if err := stream.RecvMsg(&alsv3.StreamAccessLogsResponse{}); status.Code(err) != codes.ResourceExhausted {
				t.Error(err)
			}
			if got := s.table.unsaved("web"); got.Lost.IsZero() {
				t.Errorf("nothing is lost: %+v", got)
			}
		})
	}
}
