package xds_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// A client that asks for more than any proxy needs is told so and cut off.
func TestLimits(t *testing.T) {
	names := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprint("name", i)
		}
		return out
	}
	versions := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	for name, c := range map[string]struct {
		transport string
		requests  []proto.Message
		code      codes.Code
		want      string
	}{
		"names of a request": {"ads-delta", []proto.Message{&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: names(4)}}, codes.ResourceExhausted, "at most 3"},
		"names to end":       {"ads-delta", []proto.Message{&discoveryv3.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: names(4)}}, codes.ResourceExhausted, "at most 3"},
		"versions":           {"ads-delta", []proto.Message{&discoveryv3.DeltaDiscoveryRequest{InitialResourceVersions: versions}}, codes.ResourceExhausted, "at most 3"},
		"names of a stream": {"ads-delta", []proto.Message{&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: names(3)},
			&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"another"}}}, codes.ResourceExhausted, "4 eds names"},
		"names in SotW": {"ads-sotw", []proto.Message{&discoveryv3.DiscoveryRequest{ResourceNames: names(4)}}, codes.ResourceExhausted, "at most 3"},
		"long name":     {"ads-delta", []proto.Message{&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"a-very-long-name"}}}, codes.InvalidArgument, "at most 10"},
		"long in SotW":  {"ads-sotw", []proto.Message{&discoveryv3.DiscoveryRequest{ResourceNames: []string{"a-very-long-name"}}}, codes.InvalidArgument, "at most 10"},
		"empty name":    {"ads-delta", []proto.Message{&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{""}}}, codes.InvalidArgument, "empty resource name"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, xds.Config{Limits: xds.Limits{Names: 3, NameBytes: 10}})
			one := r.connect(c.transport, "web/1")
			defer one.cancel()
			for _, m := range c.requests {
				switch m := m.(type) {
				case *discoveryv3.DeltaDiscoveryRequest:
					m.TypeUrl = xds.TypeEndpoint
				case *discoveryv3.DiscoveryRequest:
					m.TypeUrl = xds.TypeEndpoint
				}
				one.send(m)
			}
			end := one.waitForEnd(t)
			if !strings.HasPrefix(end, "ended: "+c.code.String()) || !strings.Contains(end, c.want) {
				t.Errorf("%s, want %s and %q", end, c.code, c.want)
			}
			eventually(t, "nothing is left of the stream", func() bool {
				entries, scopes := r.server.Sizes()
				return entries == 0 && scopes == 0
			})
		})
	}
}

func TestMaxStreams(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, xds.Config{MaxStreams: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	first := r.connect("ads-delta", "web/1")
	defer first.cancel()
	eventually(t, "the first is in", func() bool { return len(r.server.Status()) == 1 })
	for range 3 {
		another := r.connect("ads-delta", "web/2")
		defer another.cancel()
		if end := another.waitForEnd(t); !strings.Contains(end, "at most 1 streams") {
			t.Error(end)
		}
	}
	first.cancel()
	eventually(t, "the first is out", func() bool { return len(r.server.Status()) == 0 })
	r.close()
	if got := strings.Count(log.String(), "a stream is refused"); got != 1 {
		t.Errorf("refusals are in the log %d times, want once", got)
	}
}

func (c *client) waitForEnd(t *testing.T) (end string) {
	t.Helper()
	eventually(t, "the stream ends", func() bool {
		for _, e := range c.taken() {
			if e.response == nil {
				end = e.end
			}
		}
		return end != ""
	})
	return end
}

// A client that does not read costs the server no more than what it asked for,
// and when it reads it gets the latest state, not all that it missed.
func TestSlowReader(t *testing.T) {
	const resources, updates, size = 20, 300, 50_000 // 300 MB in all
	r := newRigWith(t, xds.Config{}, xds.ServerOptions(), grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
	put := func(update int) []*xds.Resource {
		all := make([]*xds.Resource, 0, resources)
		for i := range resources {
			all = append(all, resource(t, xds.TypeCluster, fmt.Sprint("cluster", i), strings.Repeat(fmt.Sprint(update%10), size)+fmt.Sprint(update)))
		}
		return all
	}
	last := put(0)
	r.server.Apply(xds.Update{Put: last, Scopes: map[string][]xds.Key{"web": keys(last...)}})
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(r.conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := &discoveryv3.DeltaDiscoveryRequest{Node: node("web/slow"), TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}}
	if err := stream.Send(first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a response is on its way", func() bool {
		all := r.server.Status()
		return len(all) == 1 && len(all[0].Types) == 1 && all[0].Types[0].Responses > 0
	})
	for update := 1; update <= updates; update++ {
		last = put(update)
		r.server.Apply(xds.Update{Put: last})
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > 40<<20 {
		t.Errorf("%d MB in use", memory.HeapAlloc>>20)
	}
	// Now it reads, and answers.
	held := map[string]string{}
	responses := 0
	for held[last[resources-1].Name] != last[resources-1].Version {
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		responses++
		for _, one := range response.GetResources() {
			held[one.GetName()] = one.GetVersion()
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster, ResponseNonce: response.GetNonce()}); err != nil {
			t.Fatal(err)
		}
	}
	if responses > 3 {
		t.Errorf("%d responses for %d updates that it missed", responses, updates)
	}
	for _, one := range last {
		if held[one.Name] != one.Version {
			t.Errorf("%s: not the latest", one.Name)
		}
	}
}

// A stream whose client does not read ends when the gRPC server is stopped;
// Shutdown says that it could not wait for it.
func TestShutdownBlockedReader(t *testing.T) {
	r := newRigWith(t, xds.Config{}, xds.ServerOptions(), grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10))
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(r.conn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(2) { // gRPC itself holds the first
		big := resource(t, xds.TypeCluster, "big", strings.Repeat(fmt.Sprint(i), 1<<20))
		r.server.Apply(xds.Update{Put: []*xds.Resource{big}, Scopes: map[string][]xds.Key{"web": keys(big)}})
		if i == 0 { // only now, or it may be sent that there is nothing
			if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: node("web/1"), TypeUrl: xds.TypeCluster}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "a response is on its way", func() bool {
			all := r.server.Status()
			return len(all) == 1 && len(all[0].Types) == 1 && all[0].Types[0].Responses > i
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.server.Shutdown(ctx); err == nil {
		t.Error("Shutdown says that all streams have ended")
	}
	r.stop()
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, xds.Config{Registerer: registry})
	orders := resource(t, xds.TypeCluster, "orders", "v1")
	r.server.Apply(xds.Update{Put: []*xds.Resource{orders}, Scopes: map[string][]xds.Key{"web": keys(orders)}})
	c := r.connect("ads-delta", "web/1")
	defer c.cancel()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeCluster})
	eventually(t, "the response is here", func() bool { return c.open()[xds.TypeCluster] == 1 })
	c.answer(xds.TypeCluster, "")
	want := map[string]float64{"heddle_xds_streams": 1, "heddle_xds_responses_total": 1, "heddle_xds_answers_total": 1, "heddle_xds_resources": 1}
	eventually(t, "the figures are right", func() bool {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				got[family.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		for name, value := range want {
			if got[name] != value {
				return false
			}
		}
		return got["heddle_xds_response_bytes_total"] > 0
	})
}
