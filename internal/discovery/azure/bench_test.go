package azure_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"

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
			b.Run("listing", func(b *testing.B) { listed(b, source, subscriptions*each) })
			b.Run("floor", func(b *testing.B) { floor(b, azure.Record(source), func() { list(b, source) }) })
		})
	}
}

// listed lists, and says what the listing holds in memory.
func listed(b *testing.B, source *azure.Source, machines int) {
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
		if vms != machines {
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
}

// floor makes the requests of a listing once more, and drops the answers.
func floor(b *testing.B, recorded func() []*http.Request, list func()) {
	list()
	requests := recorded()
	for b.Loop() {
		var asking errgroup.Group
		asking.SetLimit(16)
		for _, one := range requests {
			asking.Go(func() error {
				again := one.Clone(b.Context())
				if one.GetBody != nil {
					again.Body, _ = one.GetBody()
				}
				answer, err := http.DefaultClient.Do(again)
				if err != nil {
					return err
				}
				defer answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					return errors.New(answer.Status)
				}
				_, err = io.Copy(io.Discard, answer.Body)
				return err
			})
		}
		if err := asking.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(requests)), "calls/op")
}
