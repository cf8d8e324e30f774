package xds

import (
	"fmt"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

// BenchmarkShared is a change of one cluster that many scopes hold, each with one
// proxy, and the answer of the canary: the time under the table's lock. It must
// grow as the number of scopes does, and not with its square.
func BenchmarkShared(b *testing.B) {
	for _, scopes := range []int{500, 5000} {
		b.Run(fmt.Sprint(scopes), func(b *testing.B) {
			t := newTable(time.Hour, time.Now)
			version := 0
			update := func() (*Resource, Update) {
				version++
				r, err := NewResource(TypeCluster, "orders", &clusterv3.Cluster{Name: "orders", AltStatName: fmt.Sprint(version)}, Origin{})
				if err != nil {
					b.Fatal(err)
				}
				return r, Update{Put: []*Resource{r}}
			}
			_, first := update()
			first.Scopes = map[string][]Key{}
			for i := range scopes {
				first.Scopes[fmt.Sprint(i)] = []Key{{Type: TypeCluster, Name: "orders"}}
			}
			t.apply(first, time.Now())
			for i := range scopes {
				box := newMailbox()
				box.aggregated = true
				t.join(box, fmt.Sprint(i))
				t.enter(box, interest{kind: kindCluster, wild: true})
			}
			for b.Loop() {
				r, u := update()
				if _, woken := t.apply(u, time.Now()); woken > 1 {
					b.Fatalf("%d proxies are to try it", woken)
				}
				t.accepted(kindCluster, []sentItem{{id: r.id, version: r.version}}, time.Now())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*scopes), "ns/scope")
		})
	}
}
