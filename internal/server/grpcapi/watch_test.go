package grpcapi_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// reading is one watch of upstreams and what its receiver knows.
type reading struct {
	t        *testing.T
	stream   grpc.ServerStreamingClient[heddlev1.WatchUpstreamsResponse]
	known    map[string]string // name to host
	log      []string          // "put NAME", "deleted NAME", "snapshot"
	revision int64
}

func (h *harness) watch(s *server, from int64) *reading {
	h.t.Helper()
	stream, err := s.upstreams.WatchUpstreams(h.reader(), &heddlev1.WatchUpstreamsRequest{Revision: from})
	ok(h.t, err)
	return &reading{t: h.t, stream: stream, known: map[string]string{}, revision: from}
}

// next takes responses up to one with a revision.
func (r *reading) next() {
	r.t.Helper()
	for {
		response, err := r.stream.Recv()
		ok(r.t, err)
		if response.GetSnapshotStart() {
			r.known = map[string]string{}
			r.log = append(r.log, "snapshot")
		}
		for _, change := range response.GetChanges() {
			if put := change.GetPut(); put != nil {
				r.known[put.GetName()] = put.GetDns().GetHost()
				r.log = append(r.log, "put "+put.GetName())
			} else {
				delete(r.known, change.GetDeleted())
				r.log = append(r.log, "deleted "+change.GetDeleted())
			}
		}
		if response.GetRevision() != 0 {
			if response.GetRevision() < r.revision {
				r.t.Errorf("the revision went from %d back to %d", r.revision, response.GetRevision())
			}
			r.revision = response.GetRevision()
			return
		}
	}
}

// until takes responses until the log ends with these entries.
func (r *reading) until(entries ...string) {
	r.t.Helper()
	for len(r.log) < len(entries) {
		r.next()
	}
	if !slices.Equal(r.log, entries) {
		r.t.Fatalf("got %v, want %v", r.log, entries)
	}
	r.log = nil
}

func TestAWatchGivesASnapshotThenChanges(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	h.create(dnsUpstream("b", "b.example.com"))
	h.declare("orders")
	w := h.watch(h.server, 0)
	w.until("snapshot", "put a", "put b")
	h.create(dnsUpstream("c", "c.example.com"))
	w.until("put c")
	_, err := h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("a", "new.example.com")})
	ok(t, err)
	w.until("put a")
	if w.known["a"] != "new.example.com" {
		t.Errorf("a is %q", w.known["a"])
	}
	h.declare("stock") // not an upstream: nothing is said of it
	_, err = h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Name: "stock"})
	ok(t, err)
	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "b"})
	ok(t, err)
	w.until("deleted b")
}

func TestAWatchOfAnEmptyMeshSaysSoAtOnce(t *testing.T) {
	h := start(t)
	w := h.watch(h.server, 0)
	w.until("snapshot")
	if w.revision == 0 {
		t.Error("no revision to resume from")
	}
}

func TestAnUpstreamThatBecomesARegisteredServiceIsGoneFromTheWatch(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	w := h.watch(h.server, 0)
	w.until("snapshot", "put a")
	_, err := h.server.services.UpdateService(h.writer(), &heddlev1.UpdateServiceRequest{Service: declaration("a")})
	ok(t, err)
	w.until("deleted a")
	resumed := h.watch(h.server, w.revision-1)
	resumed.until("deleted a")
}

func TestServicesAreWatchedWithTheirUpstreams(t *testing.T) {
	h := start(t)
	h.declare("orders")
	stream, err := h.server.services.WatchServices(h.reader(), &heddlev1.WatchServicesRequest{})
	ok(t, err)
	first, err := stream.Recv()
	ok(t, err)
	if !first.GetSnapshotStart() || len(first.GetChanges()) != 1 || first.GetChanges()[0].GetPut().GetName() != "orders" {
		t.Fatalf("got %v", first)
	}
	h.create(dnsUpstream("search", "a.example.com"))
	second, err := stream.Recv()
	ok(t, err)
	if second.GetSnapshotStart() || second.GetRevision() <= first.GetRevision() || second.GetChanges()[0].GetPut().GetName() != "search" {
		t.Fatalf("got %v", second)
	}
	_, err = h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Name: "orders"})
	ok(t, err)
	third, err := stream.Recv()
	ok(t, err)
	if third.GetChanges()[0].GetDeleted() != "orders" {
		t.Fatalf("got %v", third)
	}
}

func TestAWatchGoesOnAcrossAServerThatStops(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	w := h.watch(h.server, 0)
	w.until("snapshot", "put a")

	h.server.api.Stop()
	_, err := w.stream.Recv()
	refused(t, err, codes.Unavailable, fmt.Sprintf("resume from revision %d", w.revision))
	stopped := make(chan struct{})
	go func() { h.server.grpc.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("the graceful stop waits for a watch")
	}

	h.server = h.serve()
	h.create(dnsUpstream("b", "b.example.com"))
	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "a"})
	ok(t, err)
	resumed := h.watch(h.server, w.revision)
	resumed.until("put b", "deleted a") // what was missed, and nothing else
}

func TestAWatchThatBeginsWhileTheServerStopsEnds(t *testing.T) {
	h := start(t)
	h.server.api.Stop()
	_, err := h.watch(h.server, 0).stream.Recv()
	refused(t, err, codes.Unavailable, "the server is stopping")
}

func TestAWatchFromAListMissesNothing(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	list, err := h.server.upstreams.ListUpstreams(h.reader(), &heddlev1.ListUpstreamsRequest{})
	ok(t, err)
	h.create(dnsUpstream("b", "b.example.com"))
	h.watch(h.server, list.GetRevision()).until("put b")
}

func TestAWatchFromACompactedRevisionBeginsAnew(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	w := h.watch(h.server, 0)
	w.until("snapshot", "put a")
	_, err := h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "a"})
	ok(t, err)
	last := h.create(dnsUpstream("b", "b.example.com")).GetMeta().GetRevision()
	h.compact(last)
	h.watch(h.server, w.revision).until("snapshot", "put b")
}

func TestAWatchFromARevisionThatWasNeverReachedBeginsAnew(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	w := h.watch(h.server, 1<<40)
	w.revision = 0
	w.until("snapshot", "put a")
	_, err := h.watch(h.server, -1).stream.Recv()
	faulty(t, err, "revision: is negative")
}

func TestABigSnapshotComesInPieces(t *testing.T) {
	h := start(t)
	want := []string{"snapshot"}
	for i := range 6 {
		h.create(bigUpstream(fmt.Sprintf("big-%d", i)))
		want = append(want, fmt.Sprintf("put big-%d", i))
	}
	stream, err := h.server.upstreams.WatchUpstreams(h.reader(), &heddlev1.WatchUpstreamsRequest{})
	ok(t, err)
	first, err := stream.Recv() // gRPC's client takes 4 MiB
	ok(t, err)
	if !first.GetSnapshotStart() || first.GetRevision() != 0 || len(first.GetChanges()) > 3 {
		t.Errorf("the first response has %d changes, revision %d", len(first.GetChanges()), first.GetRevision())
	}
	h.watch(h.server, 0).until(want...)
}

func TestAWatchAnswersWhenItsCallerLeaves(t *testing.T) {
	h := start(t)
	stream, err := h.server.upstreams.WatchUpstreams(h.reader(), &heddlev1.WatchUpstreamsRequest{})
	ok(t, err)
	_, err = stream.Recv()
	ok(t, err)
	ok(t, h.server.conn.Close()) // goleak holds that nothing stays behind
	_, err = stream.Recv()
	refused(t, err, codes.Canceled)
}

// compact makes etcd forget what was before a revision.
func (h *harness) compact(revision int64) {
	h.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{h.embedded.Endpoint()}})
	ok(h.t, err)
	defer client.Close()
	_, err = client.Compact(h.t.Context(), revision)
	ok(h.t, err)
}

func TestValuesThatAreCorruptInEtcdAreLeftOut(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{h.embedded.Endpoint()}})
	ok(t, err)
	defer client.Close()
	_, err = client.Put(t.Context(), "/heddle/v1/services/broken", "{not JSON")
	ok(t, err)
	list, err := h.server.upstreams.ListUpstreams(h.reader(), &heddlev1.ListUpstreamsRequest{})
	ok(t, err)
	if len(list.GetUpstreams()) != 1 {
		t.Errorf("listed %v", list)
	}
	h.watch(h.server, 0).until("snapshot", "put a")
	_, err = h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: "broken"})
	refused(t, err, codes.Unavailable, "corrupt")
	_, err = h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("broken", "b.example.com")})
	refused(t, err, codes.AlreadyExists)
}

func TestAWatchOutlastsEtcdAndOtherCallsSayThatItIsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s: etcd's stop and the calls' time-outs")
	}
	h := start(t)
	h.create(dnsUpstream("a", "a.example.com"))
	w := h.watch(h.server, 0)
	w.until("snapshot", "put a")

	h.embedded.Close()
	writer, reader := h.writer(), h.reader()
	for _, err := range atOnce(
		func() error {
			_, err := h.server.upstreams.UpdateUpstream(writer, &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("a", "b.example.com")})
			return err
		},
		func() error {
			_, err := h.server.upstreams.ListUpstreams(reader, &heddlev1.ListUpstreamsRequest{})
			return err
		},
		func() error { // begun anew, it could not say that it misses nothing
			stream, err := h.server.upstreams.WatchUpstreams(reader, &heddlev1.WatchUpstreamsRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	) {
		refused(t, err, codes.Unavailable, "etcd")
	}

	embedded, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: h.dir})
	ok(t, err)
	t.Cleanup(embedded.Close)
	t.Cleanup(func() { _ = h.server.conn.Close(); h.server.api.Stop(); h.server.grpc.Stop(); _ = h.store.Close() }) // etcd's stop waits for its clients
	h.create(dnsUpstream("b", "b.example.com"))
	w.until("put b")
}

// atOnce runs calls side by side and gives their errors.
func atOnce(calls ...func() error) []error {
	failures := make([]error, len(calls))
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() { failures[i] = call() })
	}
	all.Wait()
	return failures
}
