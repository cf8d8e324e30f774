package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of what servers show each other of calls.
const (
	liveTTL    = 30 * time.Second // without a word
	chunkSize  = 256 << 10        // bytes of a value
	mostChunks = 64
)

// SaveSightings adds to what is kept of a reporter, whoever else does at the same
// time, and gives what is kept then.
func (s *Store) SaveSightings(ctx context.Context, more mesh.Sightings, most int, known func(peer string) bool, now time.Time) (mesh.Sightings, error) {
	tried := "save what was seen of calls by " + quoted(more.Reporter)
	key := sightingPrefix + more.Reporter
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for {
		got, err := s.client.Get(ctx, key)
		if err != nil {
			return mesh.Sightings{}, refusal(err, tried)
		}
		kept, revision := mesh.Sightings{Reporter: more.Reporter}, int64(0)
		for _, kv := range got.Kvs {
			revision = kv.ModRevision
			if json.Unmarshal(kv.Value, &kept) != nil {
				kept = mesh.Sightings{} // cut off: it begins anew
			}
			kept.Reporter = more.Reporter
		}
		kept = kept.Until(now)
		kept.Add(more.Until(now), most, known)
		value, err := json.Marshal(kept)
		if err != nil {
			return mesh.Sightings{}, &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
		}
		answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, string(value)), clientv3.OpPut(savedPrefix+more.Reporter, "")).Commit()
		if err != nil {
			return mesh.Sightings{}, refusal(err, tried)
		}
		if answer.Succeeded {
			return kept, nil
		}
	}
}

// SavedSightings gives what was saved after a revision, of all reporters if that is 0.
// all is how many reporters there are at the revision that it gives.
func (s *Store) SavedSightings(ctx context.Context, since int64) (changed []mesh.Sightings, all int, revision int64, err error) {
	const tried = "read what was seen of calls"
	if since != 0 {
		changed, all, revision, err = s.movedSightings(ctx, since)
		return changed, all, revision, refusal(err, tried)
	}
	end := clientv3.GetPrefixRangeEnd(sightingPrefix)
	for from := sightingPrefix; ; {
		options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageSize)}
		if revision != 0 {
			options = append(options, clientv3.WithRev(revision))
		}
		got, err := s.bounded(ctx, from, options...)
		if err != nil {
			return nil, 0, 0, refusal(err, tried)
		}
		if revision == 0 {
			revision, all = got.Header.Revision, int(got.Count)
		}
		for _, kv := range got.Kvs {
			one := mesh.Sightings{}
			if json.Unmarshal(kv.Value, &one) == nil {
				one.Reporter = strings.TrimPrefix(string(kv.Key), sightingPrefix)
				changed = append(changed, one)
			}
		}
		if !got.More || len(got.Kvs) == 0 {
			return changed, all, revision, nil
		}
		from = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
	}
}

// movedSightings is of those that were saved after a revision. etcd reads every value
// that a range has, whatever it sends of them: so small keys tell which those are.
func (s *Store) movedSightings(ctx context.Context, since int64) (changed []mesh.Sightings, all int, revision int64, err error) {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	list, err := s.client.Txn(bounded).Then(
		clientv3.OpGet(savedPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMinModRev(since+1)),
		clientv3.OpGet(sightingPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return nil, 0, 0, err
	}
	moved := list.Responses[0].GetResponseRange().Kvs
	for _, at := range moved {
		name := strings.TrimPrefix(string(at.Key), savedPrefix)
		got, err := s.bounded(ctx, sightingPrefix+name)
		if err != nil {
			return nil, 0, 0, err
		}
		for _, kv := range got.Kvs {
			one := mesh.Sightings{}
			if json.Unmarshal(kv.Value, &one) == nil {
				one.Reporter = name
				changed = append(changed, one)
			}
		}
	}
	return changed, int(list.Responses[1].GetResponseRange().Count), list.Header.Revision, nil
}

// bounded is one read within the store's timeout.
func (s *Store) bounded(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.client.Get(ctx, key, options...)
}

// DropSightings forgets what was seen by reporters, at most 50 (etcd takes 128 writes at once).
func (s *Store) DropSightings(ctx context.Context, reporters []string) error {
	var drops []clientv3.Op
	for _, name := range reporters {
		drops = append(drops, clientv3.OpDelete(sightingPrefix+name), clientv3.OpDelete(savedPrefix+name))
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.client.Txn(ctx).Then(drops...).Commit()
	return refusal(err, "forget what was seen of calls by those who are not declared any more")
}

// live is what a store knows of what it publishes; its caller calls one at a time.
type live struct {
	lease     clientv3.LeaseID
	chunks    int  // the most that may be there
	published bool // all that was to be, under this lease
	server    string
	others    map[string]shown
}

// shown is what another server showed when its key was written last.
type shown struct {
	revision int64
	rows     []mesh.Sightings
}

// PublishLive replaces what a server shows the others; it goes when this is not
// called again for half a minute. nil leaves it as it is. One goroutine calls it.
func (s *Store) PublishLive(ctx context.Context, server string, rows []mesh.Sightings) error {
	const tried = "show other servers what was seen of calls"
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.live.lease != clientv3.NoLease {
		_, err := s.client.KeepAliveOnce(ctx, s.live.lease)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			s.live = live{others: s.live.others}
		case err != nil:
			return refusal(err, tried)
		}
	}
	if s.live.lease == clientv3.NoLease {
		granted, err := s.client.Grant(ctx, int64(liveTTL/time.Second))
		if err != nil {
			return refusal(err, tried)
		}
		s.live = live{lease: granted.ID, server: server, others: s.live.others}
	}
	if rows == nil && s.live.published {
		return nil
	}
	s.live.published = false
	chunks, err := chunked(rows)
	if err != nil {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	key := func(i int) string { return fmt.Sprintf("%s%s/%02d", livePrefix, server, i) }
	for i, chunk := range chunks {
		s.live.chunks = max(s.live.chunks, i+1) // also one that failed may have been written
		if _, err := s.client.Put(ctx, key(i), chunk, clientv3.WithLease(s.live.lease)); err != nil {
			return refusal(err, tried)
		}
	}
	if s.live.chunks > len(chunks) {
		if _, err := s.client.Delete(ctx, key(len(chunks)), clientv3.WithRange(key(mostChunks))); err != nil {
			return refusal(err, tried)
		}
	}
	if _, err := s.client.Put(ctx, shownPrefix+server, "", clientv3.WithLease(s.live.lease)); err != nil {
		return refusal(err, tried)
	}
	s.live.chunks, s.live.published = len(chunks), true
	return nil
}

// chunked writes rows as values of a bounded size; at least one, by which the server
// is known to be there.
func chunked(rows []mesh.Sightings) ([]string, error) {
	chunks, open := []string{}, []byte{'['}
	end := func() {
		chunks = append(chunks, string(append(open, ']')))
		open = []byte{'['}
	}
	for i := range rows {
		one, err := json.Marshal(rows[i])
		if err != nil {
			return nil, err
		}
		if len(open)+len(one) > chunkSize && len(open) > 1 {
			end()
		}
		if len(chunks) == mostChunks-1 && len(open)+len(one) > chunkSize {
			break // there is no room for more
		}
		if len(open) > 1 {
			open = append(open, ',')
		}
		open = append(open, one...)
	}
	end()
	return chunks, nil
}

// Live gives what other servers show, by server; it reads what they wrote since the
// last call. The goroutine of PublishLive calls it.
func (s *Store) Live(ctx context.Context) (map[string][]mesh.Sightings, error) {
	const tried = "read what other servers saw of calls"
	out, now := map[string][]mesh.Sightings{}, map[string]shown{}
	var moved []*mvccpb.KeyValue
	_, err := s.pages(ctx, shownPrefix, 0, func(kv *mvccpb.KeyValue) {
		server := strings.TrimPrefix(string(kv.Key), shownPrefix)
		if before, is := s.live.others[server]; is && before.revision == kv.ModRevision {
			now[server] = before
		} else if server != s.live.server {
			moved = append(moved, kv)
		}
	})
	if err != nil {
		return nil, refusal(err, tried)
	}
	for _, at := range moved {
		server, one := strings.TrimPrefix(string(at.Key), shownPrefix), shown{revision: at.ModRevision}
		_, err := s.pages(ctx, livePrefix+server+"/", 0, func(kv *mvccpb.KeyValue) {
			var rows []mesh.Sightings
			if json.Unmarshal(kv.Value, &rows) == nil {
				one.rows = append(one.rows, rows...)
			}
		})
		if err != nil {
			return nil, refusal(err, tried)
		}
		now[server] = one
	}
	s.live.others = now
	for server, one := range now {
		out[server] = one.rows
	}
	return out, nil
}
