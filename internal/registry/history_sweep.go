package registry

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The bounds of what is kept of objects that nobody writes any more.
const (
	MostDeleted = 2000 // deleted objects whose history is kept
	sweepEvery  = 1024 // writes of one server between two looks
)

// kept is what the history has of one object.
type kept struct {
	prefix string
	keys   []*mvccpb.KeyValue // oldest first
	last   pastKey
}

func (k *kept) deleted() bool { return k.last.kind == pastDeleted }

// sweep drops the history of objects that were deleted long ago, or that too many
// were deleted after, and of others what is too old. Each write sees to its own
// object alone. What fails is done the next time.
func (s *Store) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*s.timeout)
	defer cancel()
	var deleted []kept
	var ops []clientv3.Op
	now := timeNow()
	drop := func(one kept, count int) { // what was written meanwhile stays
		ops = append(ops, clientv3.OpDelete(one.prefix, clientv3.WithRange(string(one.keys[count-1].Key)+"\x00")))
	}
	err := s.eachKept(ctx, func(one kept) {
		old := one.last.at.Before(now.Add(-HistoryKept))
		switch {
		case one.deleted() && old:
			drop(one, len(one.keys))
		case one.deleted():
			deleted = append(deleted, one)
		default:
			if count := tooMany(one.keys, 0, 0, now); count > 0 {
				drop(one, count)
			}
		}
	})
	if len(deleted) > MostDeleted {
		slices.SortFunc(deleted, func(a, b kept) int { return cmp.Compare(b.last.read, a.last.read) })
		for _, one := range deleted[MostDeleted:] {
			drop(one, len(one.keys))
		}
	}
	for some := range slices.Chunk(ops, 100) { // etcd takes 128 operations in a transaction
		if err == nil {
			_, err = s.client.Txn(ctx).Then(some...).Commit()
		}
	}
	if err != nil {
		s.logger.Debug("the history's bounds are looked at again later", "error", err)
	}
}

// eachKept goes through the history, object by object, by its keys alone.
func (s *Store) eachKept(ctx context.Context, each func(kept)) error {
	var one kept
	from, end := historyPrefix, clientv3.GetPrefixRangeEnd(historyPrefix)
	for {
		got, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithKeysOnly())
		if err != nil {
			return err
		}
		for _, kv := range got.Kvs {
			key := string(kv.Key)
			if prefix := key[:strings.LastIndexByte(key, '/')+1]; prefix != one.prefix {
				if one.prefix != "" {
					each(one)
				}
				one = kept{prefix: prefix}
			}
			one.keys = append(one.keys, kv)
			if last, ok := parsePastKey(key); ok {
				one.last = last
			} else {
				one.last = pastKey{at: time.Unix(0, 0)}
			}
		}
		if !got.More {
			break
		}
		from = string(got.Kvs[len(got.Kvs)-1].Key) + "\x00"
	}
	if one.prefix != "" {
		each(one)
	}
	return nil
}
