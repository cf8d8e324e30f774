package xds

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// TestLateHeartbeats: a server that stood still, or whose client did not read,
// sends the whole layer, which the client may have forgotten; and whatever the
// time, a heartbeat has less bytes than a layer.
func TestLateHeartbeats(t *testing.T) {
	const ttl = 9 * time.Second
	layer := &runtimev3.Runtime{Name: "heddle", Layer: &structpb.Struct{Fields: map[string]*structpb.Value{"a.long.key": structpb.NewStringValue("a long value")}}}
	one, err := NewExpiring(TypeRuntime, "heddle", layer, Origin{}, ttl)
	if err != nil {
		t.Fatal(err)
	}
	for name, delta := range map[string]bool{"delta": true, "sotw": false} {
		t.Run(name, func(t *testing.T) {
			table := newTable(0, time.Now)
			table.apply(Update{Put: []*Resource{one}, Scopes: map[string][]Key{"web": {{TypeRuntime, "heddle"}}}}, time.Unix(0, 0))
			v := view{table.scopes["web"], newMailbox()}
			s := newSession(delta, true, 0, Limits{}, time.Second)
			s.ttl = true
			now := time.Unix(1_000_000, 0)
			if _, err := s.request(now, request{typeURL: TypeRuntime, subscribe: nameListOf([]string{"heddle"}), names: nameListOf([]string{"heddle"})}); err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				after time.Duration
				beat  bool
			}{{0, false}, {ttl / 3, true}, {ttl * 2 / 3, false}, {ttl / 2, true}, {time.Hour, false}, {ttl / 3, true}} {
				now = now.Add(step.after)
				r, _ := s.respond(now, v)
				if r == nil || r.heartbeat != step.beat {
					t.Fatalf("%s after the last: %+v, want a heartbeat: %v", step.after, r, step.beat)
				}
				size := len(encodeFrame(r, delta).buffers.Materialize())
				if step.beat == (size > len(one.lease.delta)+60) {
					t.Errorf("%s after the last: %d bytes", step.after, size)
				}
				if again, look := s.respond(now, v); again != nil || !look.Equal(now.Add(ttl/3)) {
					t.Errorf("then %+v, and again at %s", again, look)
				}
			}
		})
	}
}

func TestStreamsWithoutTTLHaveNoTimer(t *testing.T) {
	one, err := NewExpiring(TypeRuntime, "heddle", &runtimev3.Runtime{Name: "heddle"}, Origin{}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := NewResource(TypeRuntime, "heddle", &runtimev3.Runtime{Name: "heddle"}, Origin{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		resource *Resource
		ttl      bool
	}{"the layer has none": {plain, true}, "the client knows none": {one, false}} {
		t.Run(name, func(t *testing.T) {
			table := newTable(0, time.Now)
			table.apply(Update{Put: []*Resource{c.resource}, Scopes: map[string][]Key{"web": {{TypeRuntime, "heddle"}}}}, time.Unix(0, 0))
			s := newSession(true, true, 0, Limits{}, time.Second)
			s.ttl = c.ttl
			if _, err := s.request(time.Unix(0, 0), request{typeURL: TypeRuntime, subscribe: nameListOf([]string{"heddle"})}); err != nil {
				t.Fatal(err)
			}
			v := view{table.scopes["web"], newMailbox()}
			if r, _ := s.respond(time.Unix(0, 0), v); r == nil {
				t.Fatal("the layer was not sent")
			}
			if r, look := s.respond(time.Unix(3600, 0), v); r != nil || !look.IsZero() {
				t.Errorf("%+v, and a timer for %s", r, look)
			}
		})
	}
}

func TestWhoKnowsTTLs(t *testing.T) {
	for _, c := range []struct {
		features    []string
		delta, sotw bool
	}{
		{nil, false, false},
		{[]string{featureWrapped}, false, false},
		{[]string{featureTTL}, true, false},
		{[]string{featureTTL, featureWrapped}, true, true},
		{[]string{featureTTL, featureWrappedToo}, true, true},
	} {
		node := &corev3.Node{ClientFeatures: c.features}
		if delta, sotw := understandsTTL(node, true), understandsTTL(node, false); delta != c.delta || sotw != c.sotw {
			t.Errorf("%v: delta %v, SotW %v", c.features, delta, sotw)
		}
	}
}
