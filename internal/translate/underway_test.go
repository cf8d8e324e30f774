package translate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// watching is a sidecar that takes new endpoints while it runs.
type watching struct {
	*sidecar
	in     *input
	folder string
}

func startWatching(t *testing.T, in *input) *watching {
	t.Helper()
	in.check(t)
	w := &watching{in: in, folder: t.TempDir()}
	scope := translate.ScopeOf(in.Proxy)
	resources, _ := translate.Build(in.view(), scope, in.trust())
	w.sidecar = &sidecar{envoytest.Start(t, onFreePorts(t, inline(t, resources, w.folder))), scope}
	return w
}

// push gives the sidecar the endpoints of a service as they are now, and waits
// until it uses them.
func (w *watching) push(t *testing.T, service mesh.ServiceName) {
	t.Helper()
	stat := "cluster." + string(service) + ".update_success"
	before := w.Stat(t, stat)
	endpoints := translate.Endpoints(w.in.view(), service)
	writeEndpoints(t, w.folder, endpoints[0].Message.(*endpointv3.ClusterLoadAssignment))
	eventually(t, "new endpoints", func() bool { return w.Stat(t, stat) > before })
}

// TestDrainedAndRemovedInstancesFinishWhatTheyHave holds a request and a TCP
// connection on one instance while it drains and then leaves.
func TestDrainedAndRemovedInstancesFinishWhatTheyHave(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		fmt.Fprint(w, "leaving")
	}))
	defer slow.Close()
	finish := sync.OnceFunc(func() { close(release) })
	defer finish() // or else Close waits for the request when the test fails
	lines := startEchoLines(t)

	in := &input{
		Proxy:    mesh.Proxy{Service: "web", Instance: "web-1"},
		Services: []mesh.Service{service("web", mesh.HTTP, "orders", "ledger"), service("orders", mesh.HTTP), service("ledger", mesh.TCP)},
	}
	ip, port := splitAddress(t, slow.Listener.Addr().String())
	in.Instances = append(in.Instances, instanceAt("orders", "leaving", ip, port))
	ip, port = splitAddress(t, lines)
	in.Instances = append(in.Instances, instanceAt("ledger", "leaving", ip, port))
	web := startWatching(t, in)

	result := make(chan answer)
	go func() { result <- call(t, web.outbound(t), "orders", "/slow", nil) }()
	<-arrived
	connection := dialLines(t, web.own(t, "ledger"))
	connection.exchange(t, "before\n")

	ip, port = echo(t, "staying")
	in.Instances = append(in.Instances, instanceAt("orders", "staying", ip, port))
	for i := range 2 {
		in.Instances[i].Health = mesh.Draining
	}
	web.push(t, "orders")
	web.push(t, "ledger")
	for range 10 {
		if got := call(t, web.outbound(t), "orders", "/x", nil); got.body != "staying orders /x" {
			t.Fatalf("while draining: got %d %s", got.status, got.body)
		}
	}
	connection.exchange(t, "while draining\n")

	in.Instances = in.Instances[2:]
	web.push(t, "orders")
	web.push(t, "ledger")
	connection.exchange(t, "after it left\n")
	finish()
	if got := <-result; got.status != 200 || got.body != "leaving" {
		t.Errorf("the request under way: got %d %s", got.status, got.body)
	}
}

type lineConnection struct {
	net.Conn
	reader *bufio.Reader
}

func dialLines(t *testing.T, address string) lineConnection {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return lineConnection{c, bufio.NewReader(c)}
}

func (c lineConnection) exchange(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	if got, err := c.reader.ReadString('\n'); got != line {
		t.Fatalf("sent %q, got %q, %v", line, got, err)
	}
}

// startEchoLines gives the address of a server that sends back what it gets. It
// is stopped after whatever the test connects to it later.
func startEchoLines(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); echoLines(listener) }()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// echoLines serves one connection at a time, until the listener is closed.
func echoLines(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c) // ends when the client hangs up
		c.Close()
	}
}

func TestTCPPassesBothSidecarsAndTriesAnotherInstance(t *testing.T) {
	lines := startEchoLines(t)
	ledger := service("ledger", mesh.TCP)
	ip, port := splitAddress(t, lines)
	deadIP, deadPort := unused(t)
	web := startSidecar(t, &input{
		Proxy:    mesh.Proxy{Service: "web", Instance: "web-1"},
		Services: []mesh.Service{service("web", mesh.HTTP, "ledger"), ledger},
		Instances: []mesh.Instance{
			behindSidecar(t, ledger, "ledger-1", ip, port), instanceAt("ledger", "ledger-2", deadIP, deadPort),
		},
	})
	for range 4 {
		c := dialLines(t, web.own(t, "ledger"))
		c.exchange(t, "hello\n")
		c.Close()
	}
}

func TestGRPCPassesBothSidecarsAndFindsTheInstanceThatIsUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()

	stock := service("stock", mesh.GRPC)
	stock.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckGRPC, Interval: mesh.Duration(100 * time.Millisecond)}
	stock.ListenerPort = 9999
	ip, port := splitAddress(t, listener.Addr().String())
	downIP, downPort := unused(t)
	web := startSidecar(t, &input{
		Proxy:     mesh.Proxy{Service: "web", Instance: "web-1"},
		Services:  []mesh.Service{service("web", mesh.HTTP, "stock"), stock},
		Instances: []mesh.Instance{behindSidecar(t, stock, "stock-1", ip, port), behindSidecar(t, stock, "stock-2", downIP, downPort)},
	})
	for _, address := range []string{web.outbound(t), web.own(t, "stock")} {
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithAuthority("stock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		client := grpc_health_v1.NewHealthClient(connection)
		for range 10 {
			if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}
