package xds

import (
	"fmt"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// BenchmarkTrialOfNames is a scope that gets many listeners, each with a route
// that its canary has not asked for yet, and the answer for the listeners: the
// time under the table's lock. It must grow as they do, and not with their square.
func BenchmarkTrialOfNames(b *testing.B) {
	for _, many := range []int{100, 1000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			t := newTable(time.Hour, time.Now)
			for range 2 {
				box := newMailbox()
				box.aggregated = true
				t.join(box, "web")
				t.enter(box, interest{kind: kindListener, wild: true})
			}
			made := func(typeURL, name string, m proto.Message) *Resource {
				r, err := NewResource(typeURL, name, m, Origin{})
				if err != nil {
					b.Fatal(err)
				}
				return r
			}
			var listeners []sentItem
			u := Update{}
			var keys []Key
			for i := range many {
				route := fmt.Sprint("orders.shop.", i)
				manager, err := anypb.New(&hcmv3.HttpConnectionManager{StatPrefix: route, RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
					RouteConfigName: route, ConfigSource: &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{}},
				}}})
				if err != nil {
					b.Fatal(err)
				}
				listener := made(TypeListener, fmt.Sprint("out.", i), &listenerv3.Listener{Name: fmt.Sprint("out.", i), FilterChains: []*listenerv3.FilterChain{{
					Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager}}},
				}}})
				listeners = append(listeners, sentItem{id: listener.id, version: listener.version})
				for _, r := range []*Resource{listener, made(TypeRoute, route, &routev3.RouteConfiguration{Name: route})} {
					u.Put, keys = append(u.Put, r), append(keys, Key{Type: r.Type, Name: r.Name})
				}
			}
			u.Scopes = map[string][]Key{"web": keys}
			for b.Loop() {
				if _, woken := t.apply(u, time.Now()); woken != 1 {
					b.Fatalf("%d proxies are to try it", woken)
				}
				if n := len(t.scopes["web"].trial.open); n != 2*many {
					b.Fatalf("it waits for %d", n)
				}
				t.accepted(kindListener, listeners, time.Now())
				b.StopTimer()
				t.apply(Update{Scopes: map[string][]Key{"web": nil}}, time.Now())
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*many), "ns/listener")
		})
	}
}
