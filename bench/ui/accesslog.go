package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/accesslog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	logStreams = 40
	perMessage = 100
	messages   = 50 // of each stream
)

// accessLog gives the cores that 20,000 entries a second take, gRPC and the
// sender, which is in this process too, included: it is more than the server's.
func accessLog(ctx context.Context) (cores float64, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	table := accesslog.NewTable(time.Now, func(string) bool { return true })
	reporter := func(_ context.Context, node *corev3.Node) (string, bool, error) { return node.GetId(), true, nil }
	service := accesslog.NewService(table, reporter, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	s := grpc.NewServer()
	service.Register(s)
	go func() { _ = s.Serve(listener) }() // it ends by Stop
	defer s.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := report(ctx, conn, 1); err != nil { // warms up
		return 0, err
	}
	before := processor()
	if err := report(ctx, conn, messages); err != nil {
		return 0, err
	}
	entries := logStreams * perMessage * messages
	return (processor() - before).Seconds() / (float64(entries) / 20_000), nil
}

// report sends as many messages on each stream, as proxies of as many services, and
// waits until they are counted.
func report(ctx context.Context, conn *grpc.ClientConn, each int) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range logStreams {
		group.Go(func() error {
			// No answer ever comes, which the client that is generated takes for an error.
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, alsv3.AccessLogService_StreamAccessLogs_FullMethodName)
			if err != nil {
				return err
			}
			for k := range each {
				m := &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: entries(k)}}}
				if k == 0 {
					m.Identifier = &alsv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: fmt.Sprintf("service-%d", i)}, LogName: mesh.CallsReport}
				}
				if err := stream.SendMsg(m); err != nil {
					return err
				}
			}
			if err := stream.CloseSend(); err != nil {
				return err
			}
			if err := stream.RecvMsg(&alsv3.StreamAccessLogsResponse{}); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

func entries(of int) []*datav3.TCPAccessLogEntry {
	out := make([]*datav3.TCPAccessLogEntry, perMessage)
	for i := range out {
		out[i] = entry(fmt.Sprintf("service-%d", (of+i)%20))
	}
	return out
}

// entry tells of one request that was answered.
func entry(cluster string) *datav3.TCPAccessLogEntry {
	return &datav3.TCPAccessLogEntry{CommonProperties: &datav3.AccessLogCommon{
		UpstreamCluster: cluster,
		CustomTags:      map[string]string{mesh.ReportedCode: "200", mesh.ReportedDetails: "via_upstream", mesh.ReportedReason: "-", mesh.ReportedHost: "service"},
	}}
}

// processor is the time that this process has had so far.
func processor() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // it has no way to fail
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
