package xds_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// BenchmarkThousand is a mesh of 1,000 services, each a scope of its own that
// calls 20 others, with one proxy each. It reports what a scope and a stream
// cost in memory, and how long it takes until every proxy has acknowledged: all
// of the first state, one resource that all have, the endpoints of one service
// that 20 call, and an update that gives every scope its members anew.
func BenchmarkThousand(b *testing.B) {
	const services, calls = 1000, 20
	update := func(content string) xds.Update {
		u := xds.Update{Scopes: map[string][]xds.Key{}}
		runtimeLayer := resource(b, xds.TypeRuntime, "heddle", content)
		u.Put = append(u.Put, runtimeLayer)
		for i := range services {
			name := fmt.Sprint("service", i)
			own := []*xds.Resource{resource(b, xds.TypeListener, "in."+name, "v1"), resource(b, xds.TypeListener, "out."+name, "v1"), resource(b, xds.TypeRoute, "out."+name, "v1")}
			u.Put = append(append(u.Put, own...), resource(b, xds.TypeCluster, name, "eds"), resource(b, xds.TypeEndpoint, name, "e1"))
			members := append(keys(own...), keys(runtimeLayer)...)
			for c := range calls {
				called := fmt.Sprint("service", (i+1+c)%services)
				members = append(members, xds.Key{Type: xds.TypeCluster, Name: called}, xds.Key{Type: xds.TypeEndpoint, Name: called})
			}
			u.Scopes[name] = members
		}
		return u
	}
	for b.Loop() {
		before := heap()
		r := newRig(b, xds.Config{})
		start := time.Now()
		r.server.Apply(update("v1"))
		b.ReportMetric(ms(time.Since(start)), "ms-encode-apply")
		withScopes := heap()
		b.ReportMetric(float64(withScopes-before)/services, "B/scope")

		ctx, cancel := context.WithCancel(b.Context())
		var answered atomic.Int64
		settle := func(what string, atLeast int64, do func()) {
			answered.Store(0)
			start := time.Now()
			do()
			eventually(b, what, func() bool {
				if answered.Load() < atLeast {
					return false
				}
				for _, one := range r.server.Status() {
					for _, typ := range one.Types {
						if !typ.BehindSince.IsZero() {
							return false
						}
					}
				}
				return true
			})
			b.ReportMetric(ms(time.Since(start)), "ms-"+what)
		}
		settle("connect", services*5, func() {
			for i := range services {
				stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(r.conn).DeltaAggregatedResources(ctx)
				if err != nil {
					b.Fatal(err)
				}
				go actLikeEnvoy(stream, fmt.Sprint("service", i), calls, services, &answered)
			}
		})
		b.ReportMetric(float64(heap()-withScopes)/services, "B/stream")
		settle("one-for-all", services, func() {
			r.server.Apply(xds.Update{Put: []*xds.Resource{resource(b, xds.TypeRuntime, "heddle", "v2")}})
		})
		settle("one-for-20", calls, func() {
			r.server.Apply(xds.Update{Put: []*xds.Resource{resource(b, xds.TypeEndpoint, "service7", "e2")}})
		})
		again := update("v3")
		settle("all-anew", services, func() {
			start := time.Now()
			r.server.Apply(again)
			b.ReportMetric(ms(time.Since(start)), "ms-apply-anew")
		})
		start = time.Now()
		for range 10 {
			r.server.Status()
		}
		b.ReportMetric(ms(time.Since(start))/10, "ms-status")
		start = time.Now()
		cancel()
		eventually(b, "all have left", func() bool { return len(r.server.Status()) == 0 })
		b.ReportMetric(ms(time.Since(start)), "ms-leave")
		r.close()
	}
}

// actLikeEnvoy subscribes as Envoy does, and acknowledges.
func actLikeEnvoy(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, service string, calls, services int, answered *atomic.Int64) {
	var number int
	if _, err := fmt.Sscanf(service, "service%d", &number); err != nil {
		panic(err)
	}
	called := make([]string, 0, calls)
	for c := range calls {
		called = append(called, fmt.Sprint("service", (number+1+c)%services))
	}
	for _, r := range []*discoveryv3.DeltaDiscoveryRequest{
		{Node: node(service + "/1"), TypeUrl: xds.TypeCluster},
		{TypeUrl: xds.TypeRuntime, ResourceNamesSubscribe: []string{"heddle"}},
		{TypeUrl: xds.TypeEndpoint, ResourceNamesSubscribe: called},
		{TypeUrl: xds.TypeListener},
		{TypeUrl: xds.TypeRoute, ResourceNamesSubscribe: []string{"out." + service}},
	} {
		if stream.Send(r) != nil {
			return
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return // the benchmark is over
		}
		if stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}) != nil {
			return
		}
		answered.Add(1)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
