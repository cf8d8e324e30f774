package registry

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	requestTTL       = 24 * time.Hour // how long a request id is remembered, at least
	requestLeaseTime = time.Hour      // how long one lease takes new records
)

// request is what is remembered of a request id: what was asked, and what was
// stored. The revision of the answer is the record's own.
type request struct {
	Content string          `json:"content"` // hash
	Result  json.RawMessage `json:"result,omitempty"`
}

// requestLease is the lease that new records of request ids are bound to. They
// share it: one for each would cost another write to etcd's disk, and a lease
// kept for a day.
type requestLease struct {
	mu    sync.Mutex
	id    clientv3.LeaseID // guarded by mu; 0: none
	until time.Time        // guarded by mu; then another is taken
}

func requestKey(w Write) string {
	return requestPrefix + hexOf(w.Author) + "/" + hexOf(w.RequestID)
}

func (s *Store) requestLease(ctx context.Context) (clientv3.LeaseID, error) {
	s.requests.mu.Lock()
	id, until := s.requests.id, s.requests.until
	s.requests.mu.Unlock()
	now := timeNow()
	if id != clientv3.NoLease && now.Before(until) {
		return id, nil
	}
	// Two writers at once may take one each; the last stays.
	lease, err := s.client.Grant(ctx, seconds(requestTTL+requestLeaseTime))
	if err != nil {
		return 0, err
	}
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	s.requests.id, s.requests.until = lease.ID, now.Add(requestLeaseTime)
	return lease.ID, nil
}

func (r *requestLease) forget(id clientv3.LeaseID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id == id {
		r.id = clientv3.NoLease
	}
}

// replay answers a request that was made before.
func (t *txn) replay(found *mvccpb.KeyValue, content string) ([]byte, int64, error) {
	var first request
	if err := json.Unmarshal(found.Value, &first); err != nil {
		return nil, 0, mesh.Unavailable(err, "%s: the record of request id %s is corrupt", t.tried, quoted(t.write.RequestID))
	}
	if first.Content != hexOf(content) {
		return nil, 0, mesh.ConflictBecause(mesh.ReasonRequestReused, "%s: request id %s was used before for something else; use a new one", t.tried, quoted(t.write.RequestID))
	}
	return first.Result, found.ModRevision, nil
}

// repeated finds what a request was answered when it was made before, although
// what it was about is no longer there.
func (s *Store) repeated(ctx context.Context, w Write, content string) (result []byte, revision int64, found bool) {
	if w.RequestID == "" {
		return nil, 0, false
	}
	kv, err := s.read(ctx, requestKey(w), "look up the request id")
	if err != nil || kv == nil {
		return nil, 0, false
	}
	var first request
	if json.Unmarshal(kv.Value, &first) != nil || first.Content != hexOf(content) {
		return nil, 0, false
	}
	return first.Result, kv.ModRevision, true
}
