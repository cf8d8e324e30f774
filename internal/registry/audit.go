package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of what is kept for the audit. What was refused is kept apart: who
// has many requests refused does not push out what was done.
const (
	MostAudited = 10_000              // entries of what was done
	MostRefused = 1000                // entries of what was refused
	AuditKept   = 90 * 24 * time.Hour // how long either is kept
	MostListed  = 1000                // entries in one answer
	trimEvery   = 64                  // entries between two looks at the bounds
	refusedRate = 10                  // entries of what was refused, each second, by one server

	mostRefusedText = 512 // bytes of each text in an entry of what was refused
)

// auditLog is what a store keeps of its own writing.
type auditLog struct {
	written atomic.Int64
	done    atomic.Int64 // entries of what was done
	denied  atomic.Int64 // entries of what was refused, in the log alone or not
	refused *rate.Limiter
}

func newAuditLog() auditLog { return auditLog{refused: rate.NewLimiter(refusedRate, 10*refusedRate)} }

// entry begins the audit of a write. Writes of the server itself have an author too.
func (w Write) entry(action, object string) mesh.AuditEntry {
	return mesh.AuditEntry{
		Time: timeNow().UTC(), Outcome: mesh.AuditDone, Action: action, Object: object,
		Author: w.Author, From: w.From, Source: w.Source, RequestID: w.RequestID, To: w.To,
	}
}

// auditKey sorts the newest first, so that a page of them is one range of etcd's.
func auditKey(prefix string, at time.Time) string {
	return fmt.Sprintf("%s%016x-%08x", prefix, uint64(math.MaxInt64-at.UnixNano()), rand.Uint32())
}

// auditOp writes an entry as part of a transaction. The entry's revision is its
// key's own.
func auditOp(entry *mesh.AuditEntry) (clientv3.Op, error) {
	data, err := json.Marshal(entry)
	if err != nil {
		return clientv3.Op{}, &mesh.Error{Kind: mesh.KindInvalid, Message: "write the audit's entry", Err: err}
	}
	return clientv3.OpPut(auditKey(auditDonePrefix, entry.Time), string(data)), nil
}

// audited logs what was written with [auditOp] at a revision, and looks at the
// bounds now and then.
func (s *Store) audited(ctx context.Context, entry *mesh.AuditEntry, revision int64) {
	entry.Revision = revision
	entry.Log(ctx, s.logger)
	s.audit.done.Add(1)
	if s.audit.written.Add(1)%trimEvery == 1 {
		s.trim(ctx, auditDonePrefix, MostAudited)
		s.trim(ctx, auditRefusedPrefix, MostRefused)
	}
}

// LogAudit writes an audit line that is kept in the log alone, for what happens too often.
func (s *Store) LogAudit(ctx context.Context, w Write, action, object string, service mesh.ServiceName) {
	entry := w.entry(action, object)
	entry.Service = service
	entry.Log(ctx, s.logger)
}

// Refused logs what was refused, and keeps it if the caller is known: who is not
// could fill what is kept, and the server's log says as much. What comes from
// outside is cut, so that whoever is known does not fill it either.
func (s *Store) Refused(ctx context.Context, entry mesh.AuditEntry) {
	entry.Time, entry.Outcome = timeNow().UTC(), mesh.AuditRefused
	for _, text := range []*string{&entry.Action, &entry.Object, &entry.Author, &entry.From, &entry.RequestID, &entry.Reason} {
		*text = mesh.Cut(*text, mostRefusedText)
	}
	if len(entry.Service) > mostRefusedText { // no service has this name, nor may a part of it name one
		entry.Service = ""
	}
	entry.Log(ctx, s.logger)
	s.audit.denied.Add(1)
	if entry.Author == "" || !s.audit.refused.Allow() {
		return
	}
	if entry.Service != "" {
		if service, err := s.Service(ctx, entry.Service); err == nil {
			entry.Owners = []string{service.Owner}
		}
	}
	data, err := json.Marshal(&entry)
	if err != nil {
		return // it was logged
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	if _, err := s.client.Put(ctx, auditKey(auditRefusedPrefix, entry.Time), string(data)); err != nil {
		s.logger.Warn("a refused request is in the log only, for etcd did not take it", "error", err)
		return
	}
	if s.audit.written.Add(1)%trimEvery == 1 {
		s.trim(ctx, auditRefusedPrefix, MostRefused)
	}
}

// Audited counts what this store did, and what was refused.
func (s *Store) Audited() (done, refused int64) { return s.audit.done.Load(), s.audit.denied.Load() }

// trim deletes what is beyond the bounds. What fails is done the next time.
func (s *Store) trim(ctx context.Context, prefix string, most int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	end := clientv3.GetPrefixRangeEnd(prefix)
	ops := []clientv3.Op{clientv3.OpDelete(auditKey(prefix, timeNow().Add(-AuditKept)), clientv3.WithRange(end))}
	kept, err := s.client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err == nil && kept.Count > most {
		var newest *clientv3.GetResponse
		if newest, err = s.client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(most+1)); err == nil && int64(len(newest.Kvs)) > most {
			ops = []clientv3.Op{clientv3.OpDelete(string(newest.Kvs[most].Key), clientv3.WithRange(end))}
		}
	}
	if err == nil {
		_, err = s.client.Txn(ctx).Then(ops...).Commit()
	}
	if err != nil {
		s.logger.Debug("the audit's bounds are looked at again later", "error", err)
	}
}

// AuditQuery says which entries are wanted.
type AuditQuery struct {
	Object  string // as the entry has it; "service/" is all services
	Author  string
	Outcome mesh.AuditOutcome
	Since   time.Time
	Limit   int                         // 0: 100
	Scan    int                         // how many of the newest are looked at, of what was done and of what was refused; 0: all
	Visible func(*mesh.AuditEntry) bool // nil: all
}

func (q *AuditQuery) wants(e *mesh.AuditEntry) bool {
	switch {
	case q.Object != "" && e.Object != q.Object && (q.Object[len(q.Object)-1] != '/' || len(e.Object) < len(q.Object) || e.Object[:len(q.Object)] != q.Object):
		return false
	case q.Author != "" && e.Author != q.Author:
		return false
	}
	return q.Visible == nil || q.Visible(e)
}

// Audit gives the newest entries that are wanted, newest first.
func (s *Store) Audit(ctx context.Context, q AuditQuery) ([]mesh.AuditEntry, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	out := []mesh.AuditEntry{}
	for outcome, prefix := range map[mesh.AuditOutcome]string{mesh.AuditDone: auditDonePrefix, mesh.AuditRefused: auditRefusedPrefix} {
		if q.Outcome != "" && q.Outcome != outcome {
			continue
		}
		some, err := s.auditBelow(ctx, prefix, q)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	slices.SortStableFunc(out, func(a, b mesh.AuditEntry) int { return b.Time.Compare(a.Time) })
	return out[:min(len(out), q.Limit)], nil
}

// auditBelow reads the entries below a prefix, a page at a time, until there are enough.
func (s *Store) auditBelow(ctx context.Context, prefix string, q AuditQuery) ([]mesh.AuditEntry, error) {
	var out []mesh.AuditEntry
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	page := int64(pageSize)
	if q.Scan > 0 {
		page = min(page, int64(q.Scan))
	}
	for scanned := 0; ; {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		got, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page))
		cancel()
		if err != nil {
			return nil, refusal(err, "read the audit")
		}
		for _, kv := range got.Kvs {
			var entry mesh.AuditEntry
			if json.Unmarshal(kv.Value, &entry) != nil {
				continue // a newer Heddle's, or cut off: the others count
			}
			if entry.Time.Before(q.Since) {
				return out, nil
			}
			if entry.Outcome == mesh.AuditDone {
				entry.Revision = kv.ModRevision
			}
			if q.wants(&entry) {
				out = append(out, entry)
			}
			if len(out) == q.Limit {
				return out, nil
			}
		}
		scanned += len(got.Kvs)
		if !got.More || q.Scan > 0 && scanned >= q.Scan {
			return out, nil
		}
		from = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
	}
}
