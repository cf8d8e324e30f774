package xds

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// However the names of a request are laid out, and whatever was read before,
// they are what the generated decoder gives.
func TestLongListsAreReadRight(t *testing.T) {
	lists := newNameLists()
	propertytest.Check(t, func(rt *rapid.T) {
		var raw []byte
		for range rapid.IntRange(0, 4).Draw(rt, "parts") {
			number := protowire.Number(rapid.SampledFrom([]int{2, 3, 3, 4, 6, 77}).Draw(rt, "field"))
			count, stem := 1, rapid.SampledFrom([]string{"a", "service-with-a-name-", "*", "", "é", "\xff"}).Draw(rt, "stem")
			if number == fieldSubscribe {
				count = rapid.SampledFrom([]int{0, 1, 5, 30, 31, 200}).Draw(rt, "count")
			}
			for i := range count {
				raw = protowire.AppendTag(raw, number, protowire.BytesType)
				raw = protowire.AppendString(raw, fmt.Sprint(stem, strings.Repeat("x", i%3), i%100))
			}
		}
		raw = raw[:len(raw)-rapid.SampledFrom([]int{0, 0, 0, min(1, len(raw))}).Draw(rt, "cut")]
		want := &discoveryv3.DeltaDiscoveryRequest{}
		wrong := proto.Unmarshal(raw, want)
		got := &discoveryv3.DeltaDiscoveryRequest{}
		in := &incoming{Message: got, lists: &lists}
		if err := in.unmarshal(raw); (err == nil) != (wrong == nil) {
			rt.Fatalf("the request is read with %v, and should be with %v", err, wrong)
		}
		if wrong != nil {
			return
		}
		a, b := deltaRequest(got, in.subscribe), deltaRequest(want, nil)
		if !slices.Equal(a.subscribe.ids, b.subscribe.ids) || a.subscribe.longest != b.subscribe.longest || a.subscribe.empty != b.subscribe.empty {
			rt.Fatalf("subscribed to %v, and it should be to %v", a.subscribe, b.subscribe)
		}
		if !slices.Equal(a.unsubscribe.ids, b.unsubscribe.ids) || a.typeURL != b.typeURL || a.nonce != b.nonce {
			rt.Fatalf("it is %+v, and should be %+v", a, b)
		}
	})
}

// A long list that comes again is not read again.
func TestLongListsAreShared(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it forgets what nobody needs
	lists := newNameLists()
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("service", i)
	}
	var before *nameList
	for i, typeURL := range []string{TypeEndpoint, TypeRoute} {
		raw, err := proto.Marshal(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
		if err != nil {
			t.Fatal(err)
		}
		in := &incoming{Message: &discoveryv3.DeltaDiscoveryRequest{}, lists: &lists}
		if err := in.unmarshal(raw); err != nil || in.subscribe == nil || len(in.subscribe.ids) != len(names) {
			t.Fatalf("request %d: %v, %v", i, err, in.subscribe)
		}
		if i > 0 && in.subscribe != before {
			t.Error("the same list was read twice")
		}
		before = in.subscribe
	}
}
