package kubernetes_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// proxy is a client of xDS that refuses clusters when it is told to, as an Envoy does
// that lacks what they need, or answers nothing.
type xdsProxy struct {
	mu      sync.Mutex
	refuses string // guarded by mu, as below: clusters that have this in their names
	silent  bool
	owed    []*discoveryv3.DeltaDiscoveryRequest
	stream  discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

// connect has a proxy of a service listen to a server, for clusters and their endpoints.
func connect(t *testing.T, at string, node string) *xdsProxy {
	t.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &xdsProxy{stream: stream}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			r, err := stream.Recv()
			if err != nil || p.answer(r) != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	for _, one := range []*discoveryv3.DeltaDiscoveryRequest{{Node: &corev3.Node{Id: node}, TypeUrl: xds.TypeCluster}, {TypeUrl: xds.TypeEndpoint}} {
		if err := stream.Send(one); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *xdsProxy) answer(r *discoveryv3.DeltaDiscoveryResponse) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
	for _, one := range r.GetResources() {
		if p.refuses != "" && r.GetTypeUrl() == xds.TypeCluster && strings.Contains(one.GetName(), p.refuses) {
			answer.ErrorDetail = &rpcstatus.Status{Code: 3, Message: "Error adding/updating cluster(s) " + one.GetName() + ": no such filter"}
		}
	}
	if p.silent {
		p.owed = append(p.owed, answer)
		return nil
	}
	return p.stream.Send(answer)
}

func (p *xdsProxy) refuse(clusters string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = clusters
}

// speak has it answer, or not.
func (p *xdsProxy) speak(does bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = !does
	for _, one := range p.owed {
		_ = p.stream.Send(one)
	}
	p.owed = nil
}

func (w *world) declare(service mesh.ServiceName, dependencies ...mesh.ServiceName) {
	w.t.Helper()
	if _, err := w.api.PutService(w.t.Context(), mesh.Service{Name: service, Owner: "x", Protocol: mesh.HTTP, Port: 8080, Dependencies: dependencies}); err != nil {
		w.t.Fatal(err)
	}
}

// What a proxy refuses is said of the object that it follows from, in the proxy's words,
// and of no other.
func TestARefusalIsToldOfWhatItConcerns(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	w.declare("picky", "fine-one", "faulty-one")
	proxy := connect(t, w.server.said["xds"], "picky/picky-1")
	proxy.refuse("faulty-one")
	c.Apply(t, upstream(namespace, "fine-one", "10.0.0.1", "80")+"---\n"+upstream(namespace, "faulty-one", "10.0.0.1", "80"))
	w.awaitCondition(namespace, "upstream/faulty-one", "Programmed", "False Refused: 1 of 1 proxies refused it (NACK); picky/picky-1: Error adding/updating cluster(s)")
	w.awaitCondition(namespace, "upstream/fine-one", "Programmed", "True Acknowledged: 1 of 1")
	c.Apply(t, upstream(namespace, "fine-one", "10.0.0.2", "81")) // while the refusal stands
	awaits(t, "have the change acknowledged", func() (bool, string) {
		generation, err := c.Kubectl(t, "", "get", "-n", namespace, "upstream/fine-one", "-o", `jsonpath={.status.conditions[?(@.type=="Programmed")].observedGeneration}`)
		got := condition(t, c, namespace, "upstream/fine-one", "Programmed")
		return generation == "2" && strings.HasPrefix(got, "True Acknowledged: 1 of 1"), fmt.Sprint(generation, got, err)
	})
	if got := condition(t, c, namespace, "upstream/faulty-one", "Programmed"); !strings.HasPrefix(got, "False Refused") {
		t.Errorf("the refusal that stands is %s", got)
	}
	proxy.refuse("")
	c.Apply(t, upstream(namespace, "faulty-one", "10.0.0.3", "82"))
	w.awaitCondition(namespace, "upstream/faulty-one", "Programmed", "True Acknowledged: 1 of 1")
}

// Of several servers each knows its own proxies; an object is programmed when all have it.
func TestProxiesOfAllServersAreCounted(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	w.operator.End()
	second := start(t, "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--etcd-endpoints", "unix://"+filepath.Join(w.server.Argument("--data-dir"), "etcd.sock"), "--data-dir", t.TempDir())
	second.awaitReady()
	both, _ := w.operate("--cluster", w.name+"="+c.Kubeconfig, "--proxies-at", w.server.said["rest"], "--proxies-at", second.said["rest"], "--proxies-at", strings.Replace(w.server.said["rest"], "127.0.0.1", "localhost", 1))
	both.awaitReady()
	namespace := c.Namespace(t)
	w.declare("spread", "counted")
	connect(t, w.server.said["xds"], "spread/spread-1")
	far := connect(t, second.said["xds"], "spread/spread-2")
	c.Apply(t, upstream(namespace, "counted", "10.0.0.1", "80"))
	w.awaitCondition(namespace, "upstream/counted", "Programmed", "True Acknowledged: 2 of 2")
	far.speak(false)
	c.Apply(t, upstream(namespace, "counted", "10.0.0.2", "81"))
	w.awaitCondition(namespace, "upstream/counted", "Programmed", "False Pending: 1 of 2")
	far.speak(true)
	w.awaitCondition(namespace, "upstream/counted", "Programmed", "True Acknowledged: 2 of 2")
	second.End()
	c.Apply(t, upstream(namespace, "counted", "10.0.0.3", "82"))
	w.awaitCondition(namespace, "upstream/counted", "Programmed", "True Acknowledged: 1 of 1")
}
