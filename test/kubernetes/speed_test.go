package kubernetes_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryservice "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

var (
	speedServices = flag.Int("speed-services", 20, "services of TestSpeed, ten pods each; make bench-kubernetes has 500")
	speedPods     = flag.Int("speed-pods", 200, "pods of the one service of TestSpeedOfBigService; make bench-kubernetes has 5,000")
	speedRounds   = flag.Int("speed-rounds", 20, "changes that TestSpeed times; make bench-kubernetes has 200")
)

const (
	streams     = 5
	podsOfSlice = 100 // as Kubernetes' own controller makes them
)

// TestSpeed measures what `make bench-kubernetes` shows: how long a change of an
// EndpointSlice takes to the last proxy's acknowledgement, beside another watcher of
// the same slice, and what the operator needs for many pods. Small runs hold that it
// works; only runs with 500 services hold it to its goals.
func TestSpeed(t *testing.T) {
	if err := addressed(); err != nil {
		t.Skip("pods need addresses of their own: ", err)
	}
	c := kubetest.Start(t, kubetest.Config{NoControllers: true})
	install(t, c)
	w := join(t, c, "--no-leader-election", "--log-level", "info")
	s := &speed{w: w, namespace: c.Namespace(t), services: *speedServices, pods: 10}
	c.Config = rest.CopyConfig(c.Config)
	began := time.Now()
	s.populate()
	t.Logf("%d services with %d pods made in %s", s.services, s.services*s.pods, time.Since(began).Round(time.Millisecond))
	s.await(time.Minute, mesh.Healthy)
	found := []figure{}
	add := func(name string, value float64, unit string) {
		found = append(found, figure{name, value, unit})
		t.Logf("%-70s %9.2f %s", name, value, unit)
	}
	floor, acked := s.latency()
	add("change to another watcher, median", ms(median(floor)), "ms")
	add("change to the last ACK, median", ms(median(acked)), "ms")
	beyond := make([]time.Duration, len(acked))
	for i := range acked {
		beyond[i] = acked[i] - floor[i]
	}
	add("beyond the other watcher, median", ms(median(beyond)), "ms")
	slices.Sort(beyond)
	add("beyond the other watcher, 95th percentile", ms(beyond[len(beyond)*95/100]), "ms")

	peak, now := w.operator.memory(t)
	add("operator's memory, resident", now, "MiB")
	add("operator's memory, at most", peak, "MiB")

	w.operator.Kill()
	began = time.Now()
	w.operator.Run()
	w.operator.awaitReady()
	add("restart: until everything has been read", time.Since(began).Seconds(), "s")
	w.operator.Kill()
	s.change(mesh.Draining)
	began = time.Now()
	w.operator.Run()
	s.await(time.Minute, mesh.Draining)
	resync := time.Since(began)
	add("restart: until a change of each service meanwhile is in the registry", resync.Seconds(), "s")
	peak, now = w.operator.memory(t)
	add("operator's memory after that, resident", now, "MiB")
	add("operator's memory after that, at most", peak, "MiB")
	if *speedServices < 500 {
		return
	}
	if median(beyond) > 5*time.Millisecond || peak > 200 || resync > 5*time.Second {
		t.Errorf("the goals are at most 5 ms, 200 MiB and 5 s")
	}
	data, err := json.MarshalIndent(found, "", "  ")
	if err == nil {
		err = os.MkdirAll("../../.bench", 0o755)
	}
	if err == nil {
		err = os.WriteFile("../../.bench/kubernetes.json", append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

type speed struct {
	w         *world
	namespace string
	services  int
	pods      int                          // of each
	slices    []*discoveryv1.EndpointSlice // the first of each service
}

func (s *speed) name(i int) string { return fmt.Sprintf("service-%d", i) }

// populate makes the services, their declarations, pods and slices.
func (s *speed) populate() {
	t := s.w.t
	t.Helper()
	c := s.w.cluster.Client
	s.slices = make([]*discoveryv1.EndpointSlice, s.services)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range s.services {
		group.Go(func() error {
			ctx, name := context.Background(), s.name(i)
			_, err := c.CoreV1().Services(s.namespace).Create(ctx, &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
			}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			s.slices[i], err = s.slice(ctx, i, 0)
			for from := podsOfSlice; err == nil && from < s.pods; from += podsOfSlice {
				_, err = s.slice(ctx, i, from)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for i := range s.services {
		fmt.Fprintf(&all, "---\napiVersion: heddle.io/v1alpha1\nkind: MeshService\nmetadata: {name: %s, namespace: %s}\nspec: {owner: x, protocol: http, port: 80, dependencies: []}\n", s.name(i), s.namespace)
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := s.w.cluster.Kubectl(t, "", "create", "-f", file); err != nil {
		t.Fatal(out, err)
	}
}

// slice makes an EndpointSlice of a service, and its pods: those from a number on.
func (s *speed) slice(ctx context.Context, service, from int) (*discoveryv1.EndpointSlice, error) {
	name := s.name(service)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, from), Labels: map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: "speed"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
	}
	slice.Endpoints = make([]discoveryv1.Endpoint, min(podsOfSlice, s.pods-from))
	var group errgroup.Group
	group.SetLimit(16)
	for i := range slice.Endpoints {
		group.Go(func() error {
			p := from + i
			pod, err := s.w.cluster.Client.CoreV1().Pods(s.namespace).Create(ctx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, p), Labels: map[string]string{"app": name, "version": "1", "pod-template-hash": "abcdef"}},
				Spec:       corev1.PodSpec{NodeName: "none", Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1", Env: []corev1.EnvVar{{Name: "A", Value: strings.Repeat("x", 500)}}}}},
			}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			at := service*s.pods + p
			slice.Endpoints[i] = discoveryv1.Endpoint{
				Addresses: []string{fmt.Sprintf("10.100.%d.%d", at/250+1, at%250+1)}, Zone: new("z1"), Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: s.namespace, Name: pod.Name, UID: pod.UID},
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return s.w.cluster.Client.DiscoveryV1().EndpointSlices(s.namespace).Create(ctx, slice, metav1.CreateOptions{})
}

// await waits until the registry has all pods, the first of each service in a state.
func (s *speed) await(within time.Duration, first mesh.Health) {
	t := s.w.t
	t.Helper()
	end := time.Now().Add(within)
	for {
		all, err := s.w.api.Instances(t.Context(), "")
		right := 0
		for _, one := range all {
			if strings.Contains(string(one.ID), "-0."+s.namespace) && (one.Health == first || one.Health == "" && first == mesh.Healthy) {
				right++
			}
		}
		if len(all) == s.services*s.pods && right == s.services {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the registry has %d instances, %d of them as they are to be: %v", len(all), right, err)
		}
		time.Sleep(250 * time.Millisecond) // to list all of them costs the server something
	}
}

func patch(health mesh.Health) []byte {
	if health == mesh.Healthy {
		return []byte(`[{"op":"replace","path":"/endpoints/0/conditions","value":{"ready":true}}]`)
	}
	return []byte(`[{"op":"replace","path":"/endpoints/0/conditions","value":{"ready":false,"serving":true,"terminating":true}}]`)
}

// change sets the first pod of each service.
func (s *speed) change(to mesh.Health) {
	s.w.t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, one := range s.slices {
		group.Go(func() error { return s.set(one.Name, to) })
	}
	if err := group.Wait(); err != nil {
		s.w.t.Fatal(err)
	}
}

func (s *speed) set(slice string, to mesh.Health) error {
	_, err := s.w.cluster.Client.DiscoveryV1().EndpointSlices(s.namespace).Patch(context.Background(), slice, types.JSONPatchType, patch(to), metav1.PatchOptions{})
	return err
}

// latency times changes of one slice: to another watcher of it, and to the last ACK.
func (s *speed) latency() (floor, acked []time.Duration) {
	t := s.w.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	service := s.slices[0].Labels[discoveryv1.LabelServiceName]
	if _, err := s.w.api.PutService(ctx, mesh.Service{Name: "caller", Owner: "x", Protocol: mesh.HTTP, Port: 1, Dependencies: []mesh.ServiceName{mesh.ServiceName(service)}}); err != nil {
		t.Fatal(err)
	}
	watch, err := s.w.cluster.Client.DiscoveryV1().EndpointSlices(s.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + s.slices[0].Name, ResourceVersion: s.slices[0].ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	arrivals := make(chan time.Time, 1000)
	var receiving errgroup.Group
	for n := range streams {
		receiving.Go(func() error {
			acknowledge(ctx, s.w.server.said["xds"], fmt.Sprintf("caller/%d", n), service, arrivals)
			return nil
		})
	}
	next := func(c <-chan time.Time) time.Time {
		select {
		case at := <-c:
			return at
		case <-time.After(10 * time.Second):
			t.Fatal("no acknowledgement came")
			return time.Time{}
		}
	}
	for range streams {
		next(arrivals) // what there is at first
	}
	for i := range *speedRounds {
		to := mesh.Draining
		if i%2 == 1 {
			to = mesh.Healthy
		}
		seen := make(chan time.Time, 1)
		go func() { <-watch.ResultChan(); seen <- time.Now() }()
		began := time.Now()
		if err := s.set(s.slices[0].Name, to); err != nil {
			t.Fatal(err)
		}
		var last time.Time
		for range streams {
			last = next(arrivals)
		}
		floor, acked = append(floor, next(seen).Sub(began)), append(acked, last.Sub(began))
	}
	cancel()
	_ = receiving.Wait()
	if *speedRounds%2 == 1 {
		_ = s.set(s.slices[0].Name, mesh.Healthy)
	}
	return floor, acked
}

// acknowledge is a proxy that does nothing but acknowledge the endpoints of a service.
func acknowledge(ctx context.Context, address, node, service string, arrivals chan<- time.Time) {
	const endpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return
	}
	defer connection.Close()
	stream, err := discoveryservice.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		return
	}
	_ = stream.Send(&discoveryservice.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: endpoints, ResourceNamesSubscribe: []string{service}})
	for {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		_ = stream.Send(&discoveryservice.DeltaDiscoveryRequest{TypeUrl: endpoints, ResponseNonce: response.GetNonce()})
		arrivals <- time.Now()
	}
}

// memory gives the most that a program was resident with, and what it is, in MiB.
func (p *program) memory(t testing.TB) (peak, now float64) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f", &kB); n == 1 {
			peak = kB / 1024
		}
		if n, _ := fmt.Sscanf(line, "VmRSS: %f", &kB); n == 1 {
			now = kB / 1024
		}
	}
	return peak, now
}
