package azure_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
)

// BenchmarkListing lists 10,000 machines of 20 subscriptions, each with an interface. The
// fake Azure is in this process: its part of the time is most of it, and is told apart by
// the floor, which asks for the same pages and reads no more of them than their bytes.
func BenchmarkListing(b *testing.B) {
	const subscriptions, each = 20, 500
	for _, by := range listings {
		b.Run(string(by), func(b *testing.B) {
			a := azuretest.New(b)
			for s := range subscriptions {
				for i := range each {
					a.Put(azuretest.VM{
						Subscription: subID(s), Group: "mesh", Name: fmt.Sprintf("vm-%d-%d", s, i), Zone: fmt.Sprint(i%3 + 1),
						Tags: map[string]string{"heddle-service": "orders:8080"}, NICs: []azuretest.NIC{azuretest.Address(fmt.Sprintf("10.%d.%d.%d", s, i/250, i%250+1), "")},
					})
				}
			}
			source := source(b, a, func(cfg *azure.Config) {
				cfg.Listing, cfg.Subscriptions = by, nil
				for s := range subscriptions {
					cfg.Subscriptions = append(cfg.Subscriptions, azure.Subscription{ID: subID(s)})
				}
			})
			whole(b, source)
			calls, held := 0, uint64(0)
			for b.Loop() {
				listing := list(b, source)
				calls = listing.Calls
				var before, after runtime.MemStats
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&before)
				vms := 0
				for _, scope := range listing.Scopes {
					vms += len(scope.VMs)
				}
				if vms != subscriptions*each {
					b.Fatalf("%d machines are listed", vms)
				}
				listing.Scopes = nil
				runtime.GC()
				runtime.ReadMemStats(&after)
				held = before.HeapAlloc - after.HeapAlloc
				b.StartTimer()
			}
			b.ReportMetric(float64(calls), "calls/op")
			b.ReportMetric(float64(held)/(1<<20), "MiB-listing")
		})
	}
}
