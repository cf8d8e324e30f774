package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// connections that the requests in flight are spread over: a sidecar has one for
// each of its threads.
const connections = 4

// raw sends and receives bytes, so that the client costs the same and little.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*int) = data.Len()
	return nil
}

// request is what a sidecar sends for a call, encoded.
func request(pair int) ([]byte, error) {
	return proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "spiffe://heddle.local/service/" + serviceName(pair/services)},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "8817364029471", Method: "GET", Host: "orders", Path: "/api/v1/orders/8817364029471?expand=items", Scheme: "http", Protocol: "HTTP/1.1",
			Headers: map[string]string{
				":authority": "orders", ":method": "GET", ":path": "/api/v1/orders/8817364029471?expand=items", ":scheme": "http",
				"accept": "application/json", "accept-encoding": "gzip, deflate", "user-agent": "web/2.14.0", "x-forwarded-proto": "http",
				"x-request-id": "0f1c5e0e-7f3e-4a39-9f0f-2f3c8f7f3c11", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			},
		}},
		ContextExtensions: map[string]string{"callee": serviceName(pair % services)},
	}})
}

// load is a client of one server.
type load struct {
	conns []*grpc.ClientConn
	hot   [][]byte
	all   atomic.Int64 // requests so far; each thousandth is cold
	cold  atomic.Int64 // the next cold pair
}

func newLoad(address string) (*load, error) {
	l := &load{}
	l.cold.Store(hotPairs)
	for i := range hotPairs {
		data, err := request(i)
		if err != nil {
			return nil, err
		}
		l.hot = append(l.hot, data)
	}
	for range connections {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
		if err != nil {
			return nil, err
		}
		l.conns = append(l.conns, conn)
	}
	return l, nil
}

func (l *load) close() {
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

// warm asks for each hot pair once.
func (l *load) warm(ctx context.Context) error {
	for i, data := range l.hot {
		if _, err := l.ask(ctx, l.conns[i%connections], data); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) ask(ctx context.Context, conn *grpc.ClientConn, data []byte) (bytes int, err error) {
	err = conn.Invoke(ctx, authv3.Authorization_Check_FullMethodName, data, &bytes)
	return bytes, err
}

// next gives the request to be sent now.
func (l *load) next(n int, cold bool) ([]byte, error) {
	if !cold || l.all.Add(1)%1000 != 0 {
		return l.hot[n%hotPairs], nil
	}
	pair := int(l.cold.Add(1))
	if pair >= services*services {
		return nil, errors.New("there are no more pairs that nobody has asked for: raise services, or lower -rounds or -time")
	}
	return request(pair)
}

// run keeps so many requests in flight for a while, and gives how long each took,
// sorted.
func (l *load) run(ctx context.Context, inFlight int, d time.Duration, cold bool, smallest int) ([]time.Duration, error) {
	took := make([][]time.Duration, inFlight)
	failed := make([]error, inFlight)
	end := time.Now().Add(d)
	var group sync.WaitGroup
	for worker := range inFlight {
		group.Go(func() {
			conn := l.conns[worker%connections]
			for n := worker * 61; ; n++ {
				data, err := l.next(n, cold)
				if err != nil {
					failed[worker] = err
					return
				}
				begin := time.Now()
				if begin.After(end) {
					return
				}
				bytes, err := l.ask(ctx, conn, data)
				if err == nil && bytes < smallest {
					err = fmt.Errorf("an answer has %d bytes, so there is no token in it", bytes)
				}
				if err != nil {
					failed[worker] = err
					return
				}
				took[worker] = append(took[worker], time.Since(begin))
			}
		})
	}
	group.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, errors.Join(failed...)
}
