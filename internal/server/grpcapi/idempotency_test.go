package grpcapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
)

func TestCreateSentAgainGivesTheFirstResult(t *testing.T) {
	h := start(t)
	request := &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("search", "search.example.com"), RequestId: "3f0c"}
	first, err := h.server.upstreams.CreateUpstream(h.writer(), request)
	ok(t, err)
	again, err := h.server.upstreams.CreateUpstream(h.writer(), request)
	ok(t, err)
	equal(t, again, first)
	h.atRevision("search", first.GetUpstream().GetMeta().GetRevision())

	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "search"})
	ok(t, err)
	again, err = h.server.upstreams.CreateUpstream(h.writer(), request)
	ok(t, err)
	equal(t, again, first)
	_, err = h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: "search"})
	refused(t, err, codes.NotFound) // a replay writes nothing
}

func TestARequestIDForSomethingElseIsRefused(t *testing.T) {
	h := start(t)
	_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("search", "a.example.com"), RequestId: "one"})
	ok(t, err)
	for _, other := range []*heddlev1.Upstream{dnsUpstream("search", "b.example.com"), dnsUpstream("mail", "a.example.com")} {
		_, err = h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: other, RequestId: "one"})
		refused(t, err, codes.AlreadyExists, "request id", "used before for something else")
		because(t, err, "REQUEST_ID_REUSED")
	}
	_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", "b.example.com"), RequestId: "one"})
	refused(t, err, codes.Aborted, "used before for something else")
	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "search", RequestId: "one"})
	refused(t, err, codes.Aborted, "used before for something else")

	// Another caller's ids are its own.
	_, limited := h.token("mail")
	_, err = h.server.upstreams.CreateUpstream(h.as(limited), &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("mail", "a.example.com"), RequestId: "one"})
	ok(t, err)
}

func TestUpdateSentAgainGivesTheFirstResult(t *testing.T) {
	h := start(t)
	created := h.create(dnsUpstream("search", "a.example.com"))
	for name, revision := range map[string]int64{"conditional": created.GetMeta().GetRevision(), "unconditional": 0} {
		request := &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", name+".example.com"), RequestId: name, Revision: revision}
		if revision != 0 { // the condition has to hold the first time
			current, err := h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: "search"})
			ok(t, err)
			request.Revision = current.GetUpstream().GetMeta().GetRevision()
		}
		first, err := h.server.upstreams.UpdateUpstream(h.writer(), request)
		ok(t, err)
		// Something else is written in between: the replay does not undo it.
		later, err := h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", "later.example.com")})
		ok(t, err)
		again, err := h.server.upstreams.UpdateUpstream(h.writer(), request)
		ok(t, err)
		equal(t, again, first)
		h.atRevision("search", later.GetUpstream().GetMeta().GetRevision())
	}

	request := &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", "last.example.com"), RequestId: "last"}
	first, err := h.server.upstreams.UpdateUpstream(h.writer(), request)
	ok(t, err)
	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "search"})
	ok(t, err)
	again, err := h.server.upstreams.UpdateUpstream(h.writer(), request)
	ok(t, err)
	equal(t, again, first)
	request.RequestId = "new"
	_, err = h.server.upstreams.UpdateUpstream(h.writer(), request)
	refused(t, err, codes.NotFound)
}

func TestDeleteSentAgainIsDoneAlready(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("search", "a.example.com"))
	request := &heddlev1.DeleteUpstreamRequest{Name: "search", RequestId: "gone"}
	for range 2 {
		_, err := h.server.upstreams.DeleteUpstream(h.writer(), request)
		ok(t, err)
	}
	made := h.create(dnsUpstream("search", "b.example.com"))
	_, err := h.server.upstreams.DeleteUpstream(h.writer(), request)
	ok(t, err)
	h.atRevision("search", made.GetMeta().GetRevision()) // the replay left the new one alone
}

func TestARequestSentAtOnceByManyIsCarriedOutOnce(t *testing.T) {
	h := start(t)
	request := &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("search", "a.example.com"), RequestId: "many"}
	answers := make([]*heddlev1.CreateUpstreamResponse, 8)
	failures := make([]error, len(answers))
	var all sync.WaitGroup
	ctx := h.writer()
	for i := range answers {
		all.Go(func() { answers[i], failures[i] = h.server.upstreams.CreateUpstream(ctx, request) })
	}
	all.Wait()
	for i := range answers {
		ok(t, failures[i])
		equal(t, answers[i], answers[0])
	}
}

func TestStaleWritesAreRefused(t *testing.T) {
	h := start(t)
	first := h.create(dnsUpstream("search", "a.example.com"))
	stale := first.GetMeta().GetRevision()
	changed := proto.CloneOf(first) // its meta names the revision it was read at
	changed.Description = "changed"
	second, err := h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: changed})
	ok(t, err)

	_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: changed})
	refused(t, err, codes.Aborted, "has changed since revision", "read it again")
	because(t, err, "STALE_REVISION")
	_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", "b.example.com"), Revision: stale})
	refused(t, err, codes.Aborted, "has changed since revision")
	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "search", Revision: stale})
	refused(t, err, codes.Aborted, "has changed since revision")
	_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: changed, Revision: second.GetUpstream().GetMeta().GetRevision()})
	faulty(t, err, "revision: is ")
	h.atRevision("search", second.GetUpstream().GetMeta().GetRevision())
}

func TestUnconditionalUpdatesAtOnceAllSucceed(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("search", "a.example.com"))
	failures := make([]error, 6)
	var all sync.WaitGroup
	ctx := h.writer()
	for i := range failures {
		all.Go(func() {
			for j := range 5 {
				_, err := h.server.upstreams.UpdateUpstream(ctx, &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", fmt.Sprintf("h%d-%d.example.com", i, j))})
				if err != nil {
					failures[i] = err
				}
			}
		})
	}
	all.Wait()
	for _, err := range failures {
		ok(t, err)
	}
}

func TestRequestIDsAreBounded(t *testing.T) {
	h := start(t)
	_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("search", "a.example.com"), RequestId: strings.Repeat("x", 129)})
	faulty(t, err, "request_id: has 129 bytes")
	_, err = h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("search", "a.example.com"), RequestId: strings.Repeat("../é", 25)})
	ok(t, err)
}

// atRevision holds what is stored to a revision.
func (h *harness) atRevision(name string, want int64) {
	h.t.Helper()
	got, err := h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: name})
	ok(h.t, err)
	if revision := got.GetUpstream().GetMeta().GetRevision(); revision != want {
		h.t.Fatalf("%s is at revision %d, want %d", name, revision, want)
	}
}

func equal(t *testing.T, got, want proto.Message) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}
