package authz

import (
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// requestFor is what a sidecar sends for a call.
func requestFor(caller, callee string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "spiffe://mesh.test/service/" + caller},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Path: "/cart?x=1", Host: "orders", Protocol: "HTTP/1.1",
			Headers: map[string]string{":authority": "orders", ":path": "/cart?x=1", ":method": "GET", "user-agent": "test", "cookie": "a=b; CF_Authorization=x.y.z", "authorization": "Bearer x.y.z", "cf-access-jwt-assertion": "x.y.z", "x-request-id": "8a1c1f2e-6f4f-4e32-b9a7-f2bd1f1c0f5a"},
		}},
		ContextExtensions: map[string]string{"callee": callee, "mirror": "copies", "other": "thing"},
	}}
}

// agree fails the test when the generated code reads a request that decode does
// not, or reads it otherwise.
func agree(t *testing.T, data []byte) {
	t.Helper()
	var got check
	ok := got.decode(data)
	var request authv3.CheckRequest
	if err := proto.Unmarshal(data, &request); err != nil {
		return
	}
	a := request.GetAttributes()
	want := check{principal: a.GetSource().GetPrincipal(), callee: a.GetContextExtensions()["callee"], mirror: a.GetContextExtensions()["mirror"], caller: a.GetContextExtensions()["caller"]}
	want.visit.Provider, want.visit.Audience = a.GetContextExtensions()["provider"], a.GetContextExtensions()["audience"]
	if want.visit.Provider != "" {
		headers := a.GetRequest().GetHttp().GetHeaders()
		want.visit.Assertion, want.visit.Cookie, want.visit.Authorization = headers["cf-access-jwt-assertion"], headers["cookie"], headers["authorization"]
	}
	if !ok || got != want {
		t.Errorf("decode gives %v, %+v; the generated code %+v", ok, got, want)
	}
}

func TestDecodeAgreesWithProto(t *testing.T) {
	t.Parallel()
	encode := func(r *authv3.CheckRequest) []byte {
		data, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	full := encode(requestFor("web", "orders"))
	agree(t, full)
	agree(t, nil)
	agree(t, append(full, encode(requestFor("cart", "ledger"))...)) // the later one wins, field by field
	agree(t, append(full, encode(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{ContextExtensions: map[string]string{"callee": ""}}})...))
	atTheEdge := requestFor("web", "orders")
	atTheEdge.Attributes.ContextExtensions["provider"] = "staff"
	for data, end := encode(atTheEdge), 0; end <= len(data); end++ {
		agree(t, data[:end])
		agree(t, append(data[:end:end], full...))
	}
	var got check
	if !got.decode(encode(atTheEdge)) || got.visit.Provider != "staff" || got.visit.Assertion != "x.y.z" {
		t.Errorf("decode gives %+v", got)
	}
	got = check{}
	if !got.decode(full) || got.callee != "orders" || !strings.HasSuffix(got.principal, "/web") {
		t.Errorf("decode gives %+v", got)
	}
	for end := range full { // every way to be cut off
		agree(t, full[:end])
	}
}

func FuzzDecodeAgreesWithProto(f *testing.F) {
	data, err := proto.Marshal(requestFor("web", "orders"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(append(data, data...))
	atTheEdge := requestFor("web", "orders")
	atTheEdge.Attributes.ContextExtensions["provider"] = "staff"
	if data, err = proto.Marshal(atTheEdge); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}
