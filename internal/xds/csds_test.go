package xds_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// CSDS tells for each connected node, type and name what was acknowledged,
// refused (in the client's words), is not answered yet, or does not exist.
func TestClientStatus(t *testing.T) {
	r := newRig(t, xds.Config{})
	good, bad := resource(t, xds.TypeCluster, "good", "v1"), resource(t, xds.TypeCluster, "bad", "v1")
	route := resource(t, xds.TypeRoute, "out", "v1")
	r.server.Apply(xds.Update{Put: []*xds.Resource{good, bad, route}, Scopes: map[string][]xds.Key{"web": keys(good, bad, route)}})

	a, b := r.connect("ads-delta", "web/1"), r.connect("cds-sotw", "web/2")
	defer a.cancel()
	defer b.cancel()
	p := &player{t: t, letters: map[string]string{}}
	a.send(p.request(a, "cds", nil))
	eventually(t, "the clusters have come", func() bool { return a.open()[xds.TypeCluster] == 1 })
	b.send(p.request(b, "cds", []string{"names=good,absent"}))
	eventually(t, "the cluster has come", func() bool { return b.open()[xds.TypeCluster] == 1 })
	a.send(p.request(a, "rds", []string{"sub=out,absent"}))

	api := statusv3.NewClientStatusDiscoveryServiceClient(r.conn)
	stream, err := api.StreamClientStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	streamed := func(request *statusv3.ClientStatusRequest) string {
		t.Helper()
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return told(answer)
	}
	expect := func(what, want string, request *statusv3.ClientStatusRequest) {
		t.Helper()
		var got string
		eventually(t, what+": "+want, func() bool { got = streamed(request); return got == want })
		answer, err := api.FetchClientStatus(t.Context(), request)
		if err != nil || told(answer) != got {
			t.Errorf("%s: fetched %v %v, streamed %s", what, answer, err, got)
		}
	}
	one := byID(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "web/1"}})
	expect("nothing is answered yet", "web/1 web: cds bad STALE REQUESTED, cds good STALE REQUESTED, rds absent NOT_SENT REQUESTED, rds out NOT_SENT REQUESTED", one)
	a.answer(xds.TypeCluster, `cluster "bad" has no endpoints`)
	eventually(t, "the good one came again", func() bool { return a.open()[xds.TypeCluster] > 0 })
	a.answer(xds.TypeCluster, "")
	expect("one is refused", `web/1 web: cds bad ERROR NACKED "cluster \"bad\" has no endpoints", cds good SYNCED ACKED, rds absent NOT_SENT DOES_NOT_EXIST, rds out STALE REQUESTED`, one)
	b.answer(xds.TypeCluster, "")
	expect("the other proxy", "web/2 web: cds absent NOT_SENT DOES_NOT_EXIST, cds good SYNCED ACKED",
		byID(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: "B/2"}, IgnoreCase: true}))
	if all := streamed(&statusv3.ClientStatusRequest{}); strings.Count(all, "web/") != 2 {
		t.Errorf("all: %s", all)
	}
	_, err = api.FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{NodeMatchers: []*matcherv3.NodeMatcher{{NodeMetadatas: []*matcherv3.StructMatcher{{}}}}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("by metadata: %v", err)
	}
}

func byID(m *matcherv3.StringMatcher) *statusv3.ClientStatusRequest {
	return &statusv3.ClientStatusRequest{NodeMatchers: []*matcherv3.NodeMatcher{{NodeId: m}}}
}

func told(answer *statusv3.ClientStatusResponse) string {
	var clients []string
	for _, client := range answer.GetConfig() {
		var parts []string
		for _, one := range client.GetGenericXdsConfigs() {
			part := fmt.Sprintf("%s %s %s %s", shortOf(one.GetTypeUrl()), one.GetName(), one.GetConfigStatus(), one.GetClientStatus())
			if e := one.GetErrorState(); e != nil {
				part += fmt.Sprintf(" %q", e.GetDetails())
			}
			if held := strings.Contains(part, "ACKED") && !strings.Contains(part, "NACKED"); held && one.GetVersionInfo() == "" {
				part += " without a version"
			}
			parts = append(parts, part)
		}
		slices.Sort(parts)
		clients = append(clients, client.GetNode().GetId()+" "+client.GetClientScope()+": "+strings.Join(parts, ", "))
	}
	return strings.Join(clients, "\n")
}
