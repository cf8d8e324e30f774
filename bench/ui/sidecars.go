package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/xds"
)

const (
	perConnection = 40 // sidecars; each has two streams
	callsOfEach   = 20 // that a sidecar reports of each service that it calls
)

// connect opens the xDS stream and the reports of one sidecar of each service. They
// stay open until close.
func (w *world) connect(ctx context.Context, address string, declared []mesh.Service, seen map[mesh.ServiceName][]mesh.ServiceName) error {
	open, end := context.WithCancel(context.WithoutCancel(ctx))
	var streams errgroup.Group
	w.ends = append(w.ends, func() { end(); _ = streams.Wait() }) // they end as they are told to
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	var conn *grpc.ClientConn
	for i, one := range declared {
		if i%perConnection == 0 {
			var err error
			if conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
				return err
			}
			w.ends = append(w.ends, func() { _ = conn.Close() })
		}
		side := &sidecar{conn: conn, node: &corev3.Node{Id: fmt.Sprintf("%s/%s-0", one.Name, one.Name), Cluster: string(one.Name)}}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			configured := make(chan error, 1)
			streams.Go(func() error { side.follow(open, configured); return nil }) //nolint:contextcheck // it outlives this
			select {
			case err := <-configured:
				if err != nil {
					return err
				}
			case <-time.After(patience):
				return fmt.Errorf("%s was sent nothing within %s", side.node.GetId(), patience)
			}
			return side.report(open, seen[one.Name]) //nolint:contextcheck // it outlives this
		})
	}
	return group.Wait()
}

type sidecar struct {
	conn *grpc.ClientConn
	node *corev3.Node
}

// follow takes clusters as they come, and says when the first have.
func (s *sidecar) follow(ctx context.Context, configured chan<- error) {
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		configured <- err
		return
	}
	next := &discoveryv3.DeltaDiscoveryRequest{Node: s.node, TypeUrl: xds.TypeCluster}
	for first := true; ; first = false {
		_ = stream.Send(next) // why it failed is what Recv says
		got, err := stream.Recv()
		if first {
			configured <- err
		}
		if err != nil {
			return
		}
		next = &discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResponseNonce: got.GetNonce()}
	}
}

// report tells of calls, and leaves its stream open, as Envoy does.
func (s *sidecar) report(ctx context.Context, called []mesh.ServiceName) error {
	stream, err := alsv3.NewAccessLogServiceClient(s.conn).StreamAccessLogs(ctx)
	if err != nil {
		return err
	}
	var all []*datav3.TCPAccessLogEntry
	for _, one := range called {
		for range callsOfEach {
			all = append(all, entry(string(one)))
		}
	}
	if len(all) == 0 {
		all = append(all, &datav3.TCPAccessLogEntry{}) // of nothing, to be known
	}
	err = stream.Send(&alsv3.StreamAccessLogsMessage{
		Identifier: &alsv3.StreamAccessLogsMessage_Identifier{Node: s.node, LogName: mesh.CallsReport},
		LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: all}},
	})
	if err != nil {
		return errors.Join(err, stream.RecvMsg(nil))
	}
	return nil
}
