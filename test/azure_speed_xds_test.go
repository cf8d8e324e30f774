package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// acknowledger is a proxy: what it is sent, and when it has acknowledged it.
type acknowledger struct {
	name     string
	acks     chan acknowledged
	received atomic.Int64 // bytes of all that comes on its connection, save pings
	messages atomic.Int64 // responses
}

type acknowledged struct {
	at   time.Time
	body []byte // the endpoints
}

// subscribe connects a real Envoy, through a relay that sees its acknowledgements, and
// proxies that do nothing but acknowledge.
func (f *fleet) subscribe() {
	f.t.Helper()
	for i := range 4 {
		one := &acknowledger{name: fmt.Sprintf("plain %d", i), acks: make(chan acknowledged, 1000)}
		one.connect(f.t, f.xds, fmt.Sprintf("caller/plain-%d", i), fleetService(0))
		f.proxies = append(f.proxies, one)
	}
	f.envoy = &acknowledger{name: "Envoy", acks: make(chan acknowledged, 1000)}
	via := *f.server
	via.xds = f.envoy.relay(f.t, f.xds)
	startSidecar(f.t, &via, "caller", "envoy", "", proxy.Delta)
	f.proxies = append(f.proxies, f.envoy)
	for _, one := range f.proxies {
		f.acked(one, "what there is at first", func([]byte) bool { return true })
	}
}

// acked waits until a proxy has acknowledged endpoints that are as they are wanted.
func (f *fleet) acked(by *acknowledger, what string, wanted func([]byte) bool) time.Time {
	f.t.Helper()
	for end := time.After(deadline); ; {
		select {
		case one := <-by.acks:
			if wanted(one.body) {
				return one.at
			}
		case <-end:
			f.t.Fatalf("%s has not acknowledged %s", by.name, what)
		}
	}
}

// counted counts what comes on a connection of HTTP/2, save pings: those ask whether the
// other side is still there, whatever it is sent.
type counted struct {
	net.Conn
	by     *acknowledger
	header []byte // of the frame that comes, as far as it has
	left   int    // of the frame's payload
	ping   bool
}

func (c *counted) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.take(into[:n])
	return n, err
}

func (c *counted) take(data []byte) {
	const header, pings = 9, 6 // RFC 9113, sections 4.1 and 6.7
	for len(data) > 0 {
		n := min(c.left, len(data))
		if c.left == 0 {
			n = min(header-len(c.header), len(data))
			if c.header = append(c.header, data[:n]...); len(c.header) == header {
				c.left = int(c.header[0])<<16 | int(c.header[1])<<8 | int(c.header[2])
				c.ping = c.header[3] == pings
				c.header = c.header[:0]
				if !c.ping {
					c.by.received.Add(header)
				}
			}
			data = data[n:]
			continue
		}
		if c.left -= n; !c.ping {
			c.by.received.Add(int64(n))
		}
		data = data[n:]
	}
}

func (a *acknowledger) dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			plain, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			return &counted{Conn: plain, by: a}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// connect subscribes to the endpoints of a service, and acknowledges all of them.
func (a *acknowledger) connect(t testing.TB, address, node, service string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(a.dial(t, address)).DeltaAggregatedResources(ctx)
	if err == nil {
		err = stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: []string{service}})
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var receiving sync.WaitGroup
	t.Cleanup(func() { cancel(); receiving.Wait() })
	receiving.Go(func() {
		for {
			response, err := stream.Recv()
			if err != nil {
				return
			}
			_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
			a.messages.Add(1)
			a.acks <- acknowledged{time.Now(), endpointsOf(response)}
		}
	})
}

func endpointsOf(response *discoveryv3.DeltaDiscoveryResponse) []byte {
	var all [][]byte
	for _, one := range response.GetResources() {
		all = append(all, one.GetResource().GetValue())
	}
	return bytes.Join(all, nil)
}

// relay stands between an Envoy and the server, and gives its own address.
func (a *acknowledger) relay(t testing.TB, to string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, &ackRelay{by: a, to: discoveryv3.NewAggregatedDiscoveryServiceClient(a.dial(t, to))})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return listener.Addr().String()
}

type ackRelay struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	by *acknowledger
	to discoveryv3.AggregatedDiscoveryServiceClient
}

// DeltaAggregatedResources hands over what both sides say.
func (r *ackRelay) DeltaAggregatedResources(envoy discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	server, err := r.to.DeltaAggregatedResources(envoy.Context())
	if err != nil {
		return err
	}
	var sent sync.Map // by nonce
	var answering sync.WaitGroup
	defer answering.Wait()
	answering.Go(func() {
		for {
			response, err := server.Recv()
			if err != nil {
				return
			}
			r.by.messages.Add(1)
			if response.GetTypeUrl() == xds.TypeEndpoint {
				sent.Store(response.GetNonce(), endpointsOf(response))
			}
			if envoy.Send(response) != nil {
				return
			}
		}
	})
	for {
		request, err := envoy.Recv()
		if err != nil {
			return err
		}
		if body, is := sent.LoadAndDelete(request.GetResponseNonce()); is && request.GetErrorDetail() == nil {
			r.by.acks <- acknowledged{time.Now(), body.([]byte)}
		}
		if err := server.Send(request); err != nil {
			return err
		}
	}
}

// etcdWrites are what is written to etcd.
type etcdWrites struct {
	mu  sync.Mutex
	all []etcdWrite // guarded by mu
}

type etcdWrite struct {
	at       time.Time // that another watcher has it
	revision int64
	key      string
	deleted  bool
	value    []byte // of how a source does
}

func (w etcdWrite) String() string { return fmt.Sprintf("%d %s", w.revision, w.key) }

func watchEtcd(t testing.TB, address string) *etcdWrites {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + address}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &etcdWrites{}
	var watching sync.WaitGroup
	answers := client.Watch(ctx, "/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-answers
	watching.Go(func() {
		for answer := range answers {
			now := time.Now()
			w.mu.Lock()
			for _, event := range answer.Events {
				w.all = append(w.all, etcdWrite{now, event.Kv.ModRevision, string(event.Kv.Key), event.Type == clientv3.EventTypeDelete, event.Kv.Value})
			}
			w.mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); watching.Wait(); _ = client.Close() })
	return w
}

// until gives what has been written since the last time, once that is enough.
func (w *etcdWrites) until(t testing.TB, what string, enough func([]etcdWrite) bool) (all []etcdWrite) {
	t.Helper()
	for end := time.Now().Add(3 * deadline); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		all, w.all = append(all, w.all...), nil
		w.mu.Unlock()
		if enough(all) {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("%s: only %d keys were written", what, len(all))
		}
	}
}
