package registry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Each write of a service, a route or the runtime layer keeps the object as it was
// written, in the same transaction. What an object was before its first write that
// did so (by an older Heddle) is kept with that one.

// The bounds of what is kept of each object. Of what is older than HistoryKept the
// newest stays: it was in force until the next one.
const (
	MostKept      = 50
	MostKeptBytes = 1 << 20 // the oldest go first; the newest is always kept
	HistoryKept   = 90 * 24 * time.Hour

	plainPast   = 1 << 10             // bytes of an object that is kept as it is; longer ones are packed
	unsizedPast = 8 << 10             // bytes that what an older Heddle kept counts as: its keys do not say
	longestPast = 256 << 10           // bytes of a packed object; longer ones are not kept
	mostAtOnce  = 3<<19 - 64<<10      // bytes of a transaction with what is kept: what etcd takes, less what the rest may need
	packedSize  = longestPast * 3 / 4 // before base64
)

// pastKind tells what a key of the history is of.
type pastKind int

const (
	pastBefore  pastKind = iota // what was there before a write, and was not kept
	pastWritten                 // what was written
	pastDeleted                 // a deletion
)

// past is what is kept of one state of an object.
type past struct {
	Revision int64           `json:"revision,omitempty"` // of the object; 0: the key's own
	Time     time.Time       `json:"time"`
	Action   string          `json:"action,omitempty"` // as the audit calls it; "": not known
	Author   string          `json:"author,omitempty"`
	Source   string          `json:"source,omitempty"`
	Owner    string          `json:"owner,omitempty"` // of the object
	Changed  []string        `json:"changed,omitempty"`
	To       int64           `json:"to,omitempty"`     // of a rollback
	Object   json.RawMessage `json:"object,omitempty"` // as it was stored
	Packed   []byte          `json:"packed,omitempty"` // the same, by gzip
	Size     int             `json:"size,omitempty"`   // bytes of an object that is too large to be kept
}

// pastKey is a key of the history, which has no more than it takes to drop what is
// too old. Keys sort by the revision at which their write looked at the object: of
// each object a later write looked at a later revision. The size stands behind the
// kind's digit, where older Heddles take both for a kind that they do not know.
type pastKey struct {
	read int64
	kind pastKind
	size int // bytes of the value, at least 1; 0: a deletion, or of an older Heddle
	at   time.Time
}

func historyOf(key string) string { return historyPrefix + strings.TrimPrefix(key, root) + "/" }

func (p pastKey) below(prefix string) string {
	size := ""
	if p.size > 0 && p.kind != pastDeleted {
		size = strconv.Itoa(p.size)
	}
	return fmt.Sprintf("%s%016x-%d%s-%x", prefix, p.read, p.kind, size, p.at.Unix())
}

func parsePastKey(key string) (p pastKey, ok bool) {
	parts := strings.Split(key[strings.LastIndexByte(key, '/')+1:], "-")
	if len(parts) != 3 || parts[1] == "" {
		return p, false
	}
	read, err := strconv.ParseInt(parts[0], 16, 64)
	kind, err2 := strconv.Atoi(parts[1][:1])
	size, err3 := strconv.Atoi("0" + parts[1][1:])
	at, err4 := strconv.ParseInt(parts[2], 16, 64)
	return pastKey{read, pastKind(kind), size, time.Unix(at, 0)}, err == nil && err2 == nil && err3 == nil && err4 == nil
}

// keep adds to a write what it leaves to the history: value is what it stores, nil
// for a deletion.
func keep[T any](t *txn, k *kind[T], key string, before found[T], value []byte) error {
	if !k.kept || t.audit == nil {
		return nil
	}
	t.kept = true
	prefix, room := historyOf(key), mostAtOnce-len(value)
	if t.write.RequestID != "" {
		room -= len(value) // it is kept for its repetition too
	}
	entry := past{Time: t.audit.Time, Action: t.audit.Action, Author: t.audit.Author, Source: t.audit.Source, To: t.audit.To}
	for _, change := range t.audit.Changes {
		entry.Changed = append(entry.Changed, change.Field)
	}
	if owners := t.audit.Owners; value != nil && len(owners) > 0 {
		entry.Owner = owners[len(owners)-1] // after the write
	}
	written := pastKey{read: max(before.read, before.lastRead()+1), kind: pastWritten, at: entry.Time}
	if value == nil {
		written.kind = pastDeleted
	}
	var added []clientv3.Op
	bytes := 0
	add := func(key pastKey, one *past) error {
		data, err := json.Marshal(one)
		if err != nil {
			return &mesh.Error{Kind: mesh.KindInvalid, Message: t.tried + ": write the history", Err: err}
		}
		key.size = len(data)
		bytes += len(data)
		added = append(added, clientv3.OpPut(key.below(prefix), string(data)))
		return nil
	}
	if old := before.unkept(k); old != nil {
		if json.Valid(before.value) {
			room -= old.hold(before.value, room)
		}
		at := old.Time
		if at.Unix() <= 0 {
			at = entry.Time
		}
		if err := add(pastKey{read: written.read, kind: pastBefore, at: at}, old); err != nil {
			return err
		}
	}
	entry.hold(value, room)
	if err := add(written, &entry); err != nil {
		return err
	}
	t.do(added...)
	if drop := tooMany(before.past, len(added), bytes, t.audit.Time); drop > 0 {
		end := string(added[0].KeyBytes())
		if drop < len(before.past) {
			end = string(before.past[drop].Key)
		}
		t.do(clientv3.OpDelete(prefix, clientv3.WithRange(end)))
	}
	return nil
}

// lastRead is what the latest key was made of. It is below what is read now, unless
// the keys came from another etcd.
func (f *found[T]) lastRead() int64 {
	if len(f.past) == 0 {
		return 0
	}
	last, _ := parsePastKey(string(f.past[len(f.past)-1].Key))
	return last.read
}

// unkept gives what is there and was not kept when it was written, by an older
// Heddle; nil: there is no such thing.
func (f *found[T]) unkept(k *kind[T]) *past {
	if f.revision == 0 || slices.ContainsFunc(f.past, func(one *mvccpb.KeyValue) bool { return one.ModRevision == f.revision }) {
		return nil
	}
	entry := &past{Revision: f.revision}
	if f.object != nil {
		meta := k.meta(f.object)
		entry.Time, entry.Author, entry.Source, entry.Owner = meta.UpdatedAt, meta.Author, meta.Source, k.ownerOf(f.object)
	}
	return entry
}

// tooMany says how many of the keys that there are, oldest first, are to go when
// some are added, of so many bytes. The newest of all stays.
func tooMany(keys []*mvccpb.KeyValue, added, bytes int, now time.Time) int {
	old := 0
	sizes := make([]int, len(keys))
	for i, one := range keys {
		p, ok := parsePastKey(string(one.Key))
		if !ok || p.at.Before(now.Add(-HistoryKept)) {
			old++
		}
		sizes[i] = cmp.Or(p.size, unsizedPast)
		bytes += sizes[i]
	}
	drop := max(len(keys)+added-MostKept, old-1, 0)
	for i, size := range sizes {
		if i >= drop && bytes > MostKeptBytes {
			drop++
		}
		bytes -= size
	}
	if added == 0 {
		drop = min(drop, len(keys)-1)
	}
	return drop
}

// hold takes in an object, if there is room for it, and gives how much it took.
func (p *past) hold(value []byte, room int) int {
	switch {
	case value == nil:
		return 0
	case len(value) <= plainPast:
		p.Object = value
		return len(value)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(value)
	if err == nil {
		err = w.Close()
	}
	size := base64.StdEncoding.EncodedLen(packed.Len())
	if err != nil || packed.Len() > packedSize || size > room {
		p.Size = len(value)
		return 0
	}
	p.Packed = packed.Bytes()
	return size
}

// held gives the object back, nil if there is none.
func (p *past) held() ([]byte, error) {
	if p.Packed == nil {
		return p.Object, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(p.Packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 2*mostAtOnce))
}
