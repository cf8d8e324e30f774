package xds

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// FuzzRequests plays any requests, in any order, between changes of what there
// is. Whatever a client says: the server does not fall over, comes to rest, says
// each name at most once in a response, and sends nothing from outside the scope.
func FuzzRequests(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts to take seeds from: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, delta := range []bool{true, false} {
			if seed := fuzzSeed(string(text), delta); len(seed) > 0 {
				f.Add(delta, seed)
			}
		}
	}
	f.Fuzz(func(t *testing.T, delta bool, input []byte) { playRequests(t, delta, input) })
}

func playRequests(t *testing.T, delta bool, input []byte) {
	now := time.Unix(1_000_000, 0)
	s := NewServer(Config{Clock: func() time.Time { return now }, Limits: Limits{Names: 50}})
	scopes := map[string][]Key{"web": nil, "other": {{TypeCluster, "secret"}}}
	for k := range kindCount {
		for _, n := range []string{"orders", "stock", "in", "out"} {
			scopes["web"] = append(scopes["web"], Key{k.facts().url, n})
		}
	}
	s.Apply(Update{Put: append(fuzzResources(t, "1"), fuzzResource(t, TypeCluster, "secret", "1")), Scopes: scopes})
	st := &stream{server: s, delta: delta, transport: transportOf(delta, true, 0), box: newMailbox(),
		session: newSession(delta, true, 0, s.config.Limits, s.config.Patience)}
	st.session.ttl = true
	st.join("web")
	defer st.leave()
	rest := func() {
		for sent := 0; ; sent++ {
			r, _ := st.compose()
			if r == nil {
				return
			}
			if sent > 1000 {
				t.Fatal("it does not come to rest")
			}
			checkResponse(t, r, delta)
		}
	}
	for step := 0; len(input) >= 2 && step < 60; step++ {
		size := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
		message := input[2 : 2+size]
		input = input[2+size:]
		var r request
		if delta {
			m := &discoveryv3.DeltaDiscoveryRequest{}
			in := &incoming{Message: m, lists: &s.lists}
			if in.unmarshal(message) != nil {
				continue
			}
			r = deltaRequest(m, in.subscribe)
		} else {
			m := &discoveryv3.DiscoveryRequest{}
			if proto.Unmarshal(message, m) != nil {
				continue
			}
			r = sotwRequest(m)
		}
		if st.take(r) != nil {
			break // the stream ends
		}
		if len(message)%3 != 0 {
			rest()
		}
		switch len(message) % 5 {
		case 0:
			s.Apply(Update{Put: fuzzResources(t, string(rune('a'+step%26)))})
		case 1:
			s.Apply(Update{Scopes: map[string][]Key{"web": scopes["web"][:step%len(scopes["web"])]}})
		case 2:
			s.Apply(Update{Scopes: map[string][]Key{"web": scopes["web"]}, Put: fuzzResources(t, "2")})
		case 3:
			now = now.Add(time.Second)
		}
	}
	rest()
	_ = s.Status()
	if _, err := s.clientStatus(nil); err != nil {
		t.Fatal(err)
	}
}

func checkResponse(t *testing.T, r *response, delta bool) {
	seen := map[name]bool{}
	once := func(id name) {
		if seen[id] {
			t.Fatalf("%s %q is twice in one response", r.kind, id.Value())
		}
		seen[id] = true
	}
	for _, one := range r.resources {
		once(one.id)
		if one.Name == "secret" || one.kind != r.kind {
			t.Fatalf("a response of %s has %s %q", r.kind, one.kind, one.Name)
		}
	}
	for _, id := range r.removed {
		once(id)
	}
	frame := encodeFrame(r, delta).ProtoReflect().Interface() // panics if it cannot be read
	if got, ok := frame.(*discoveryv3.DeltaDiscoveryResponse); ok && len(got.GetResources()) != len(r.resources) {
		t.Fatalf("%d resources were encoded as %d", len(r.resources), len(got.GetResources()))
	}
}

func fuzzResources(t *testing.T, content string) (all []*Resource) {
	for _, typeURL := range []string{TypeCluster, TypeEndpoint, TypeListener, TypeRoute} {
		for _, n := range []string{"orders", "stock", "in", "out"} {
			all = append(all, fuzzResource(t, typeURL, n, content))
		}
	}
	layer, err := NewExpiring(TypeRuntime, "orders", &runtimev3.Runtime{Name: "orders"}, Origin{}, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return append(all, layer)
}

func fuzzResource(t *testing.T, typeURL, n, content string) *Resource {
	var m proto.Message
	switch typeURL {
	case TypeCluster:
		m = &clusterv3.Cluster{Name: n, AltStatName: content, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
			EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}}}
	case TypeEndpoint:
		m = &endpointv3.ClusterLoadAssignment{ClusterName: n, NamedEndpoints: map[string]*endpointv3.Endpoint{content: {}}}
	case TypeListener:
		m = &listenerv3.Listener{Name: n, StatPrefix: content}
	default:
		m = &routev3.RouteConfiguration{Name: n, InternalOnlyHeaders: []string{content}}
	}
	r, err := NewResource(typeURL, n, m, Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fuzzSeed makes the requests of a transcript one after the other, with an
// acknowledgement or refusal where there is one. Nonces are counted as the server
// counts them, roughly.
func fuzzSeed(text string, delta bool) []byte {
	var out bytes.Buffer
	nonce := 0
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 2 && (words[1] == "cds" || words[1] == "eds" || words[1] == "lds" || words[1] == "rds") {
			nonce++
		}
		if len(words) < 3 || words[0] != "send" && words[0] != "ack" && words[0] != "nack" {
			continue
		}
		typeURL := ""
		for k := range kinds {
			if kinds[k].short == words[2] {
				typeURL = kinds[k].url
			}
		}
		d := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL}
		w := &discoveryv3.DiscoveryRequest{TypeUrl: typeURL}
		if words[0] != "send" {
			d.ResponseNonce = string(rune('0' + nonce%10))
		}
		if words[0] == "nack" {
			d.ErrorDetail = &rpcstatus.Status{Message: strings.Join(words[3:], " ")}
		}
		for _, word := range words[3:] {
			key, value, _ := strings.Cut(word, "=")
			list := strings.Split(value, ",")
			switch key {
			case "sub":
				d.ResourceNamesSubscribe = list
			case "unsub":
				d.ResourceNamesUnsubscribe = list
			case "names":
				w.ResourceNames = list
			case "init":
				d.InitialResourceVersions = map[string]string{}
				for _, one := range list {
					n, _, _ := strings.Cut(one, "@")
					d.InitialResourceVersions[n] = "0123456789abcdec"
				}
			case "nonce":
				d.ResponseNonce = value
			}
		}
		w.ResponseNonce, w.ErrorDetail = d.ResponseNonce, d.ErrorDetail
		var m proto.Message = d
		if !delta {
			m = w
		}
		body, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		_ = binary.Write(&out, binary.BigEndian, uint16(len(body)))
		out.Write(body)
	}
	return out.Bytes()
}
