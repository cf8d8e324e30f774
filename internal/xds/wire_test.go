package xds

import (
	"bytes"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// Frames are written by hand; the generated types must read back from them
// exactly what was put in, of any size, and nothing unknown.
func TestWire(t *testing.T) {
	propertytest.Check(t, func(rt *rapid.T) {
		r := &response{kind: kindCluster, version: drawVersion(rt), nonce: rapid.StringMatching(`[0-9]{1,20}`).Draw(rt, "nonce")}
		sotw := &discoveryv3.DiscoveryResponse{TypeUrl: TypeCluster, VersionInfo: r.version.String(), Nonce: r.nonce}
		delta := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: TypeCluster, SystemVersionInfo: r.version.String(), Nonce: r.nonce}
		for range rapid.IntRange(0, 3).Draw(rt, "resources") {
			cluster := &clusterv3.Cluster{Name: "c" + rapid.StringN(0, 40, 200).Draw(rt, "name"),
				AltStatName: rapid.StringN(0, 20_000, 40_000).Draw(rt, "content")}
			one, err := NewResource(TypeCluster, cluster.GetName(), cluster, Origin{})
			if err != nil {
				rt.Fatal(err)
			}
			body, err := anypb.New(cluster)
			if err != nil {
				rt.Fatal(err)
			}
			if envelope, err := one.Any(); err != nil || !proto.Equal(envelope, body) {
				rt.Fatalf("Any: %v, %v", envelope, err)
			}
			r.resources = append(r.resources, one)
			sotw.Resources = append(sotw.Resources, body)
			delta.Resources = append(delta.Resources, &discoveryv3.Resource{Name: one.Name, Version: one.Version, Resource: body})
		}
		for range rapid.IntRange(0, 3).Draw(rt, "removed") {
			gone := rapid.StringN(1, 40, 200).Draw(rt, "gone")
			r.removed = append(r.removed, nameOf(gone))
			delta.RemovedResources = append(delta.RemovedResources, gone)
		}
		for _, want := range []proto.Message{sotw, delta} {
			_, isDelta := want.(*discoveryv3.DeltaDiscoveryResponse)
			f := encodeFrame(r, isDelta)
			got := want.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(f.buffers.Materialize(), got); err != nil {
				rt.Fatal(err)
			}
			if !proto.Equal(got, want) {
				rt.Fatalf("read back as %v, want %v", got, want)
			}
			if !proto.Equal(f.ProtoReflect().Interface(), want) {
				rt.Fatalf("with another codec: %v, want %v", f.ProtoReflect().Interface(), want)
			}
		}
	})
}

func drawVersion(rt *rapid.T) version {
	return version(rapid.Uint64().Draw(rt, "version")) & versionMask
}

// A client gives back versions that it was sent; anything else must not look
// like one of ours.
func TestParseVersion(t *testing.T) {
	propertytest.Check(t, func(rt *rapid.T) {
		if v := drawVersion(rt); parseVersion(v.String()) != v {
			rt.Fatalf("%s is read back as %s", v, parseVersion(v.String()))
		}
	})
	for _, s := range []string{"", "1", "0123456789abcdeg", "0123456789abcdef00", "v1"} {
		if v := parseVersion(s); v != 0 {
			t.Errorf("%q is read as %s", s, v)
		}
	}
}

// What is alike in the responses to many is there once, joined once, and what is
// read back is always what was to be sent.
func TestAlike(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it forgets what nobody needs
	var many []*Resource
	var changed []sentItem
	for i := range 2 * manyItems {
		one, err := NewResource(TypeCluster, "c"+strconv.Itoa(i), &clusterv3.Cluster{Name: "c" + strconv.Itoa(i)}, Origin{})
		if err != nil {
			t.Fatal(err)
		}
		many = append(many, one)
		changed = append(changed, sentOf(one, 0))
	}
	for _, delta := range []bool{false, true} {
		shared := &alikes{}
		var before *alike
		for i, n := range [][2]int{{0, len(many)}, {0, len(many)}, {1, len(many)}, {0, manyItems}, {0, len(many)}} {
			list, items := slices.Clone(many[n[0]:n[1]]), slices.Clone(changed[n[0]:n[1]])
			one := shared.of(list, items)
			f := encodeFrame(&response{kind: kindCluster, nonce: "1", resources: list, alike: one}, delta)
			want := encodeFrame(&response{kind: kindCluster, nonce: "1", resources: list}, delta)
			if !bytes.Equal(f.buffers.Materialize(), want.buffers.Materialize()) || !slices.Equal(one.changed, items) {
				t.Errorf("delta %v: list %d was sent as another", delta, i)
			}
			if (one == before) != (i == 1) {
				t.Errorf("delta %v: list %d is taken for the one before: %v", delta, i, one == before)
			}
			before = one
			clear(list) // it was not kept
			clear(items)
		}
		items := slices.Clone(changed)
		items[0].before = 16
		if shared.of(many, items) == before {
			t.Errorf("delta %v: what another client had before is taken for the same", delta)
		}
	}
}
