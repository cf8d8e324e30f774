package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// timeNow stamps what is written.
func timeNow() time.Time { return time.Now() }

// txn is one conditional write. When a condition does not hold, each one's own
// explanation is asked, with what etcd found, in the same transaction.
type txn struct {
	store   *Store
	tried   string
	write   Write
	compare []clientv3.Cmp
	then    []clientv3.Op
	orElse  []clientv3.Op
	explain []func(found []*mvccpb.KeyValue) error
	audit   *mesh.AuditEntry // nil: what is done is logged at most
	kept    bool             // it leaves something to the history
}

func (s *Store) newTxn(tried string, w Write) *txn {
	t := &txn{store: s, tried: tried, write: w}
	t.ofSource(w)
	return t
}

// require adds a condition; look reads what explain is given if it fails.
func (t *txn) require(condition clientv3.Cmp, look clientv3.Op, explain func([]*mvccpb.KeyValue) error) {
	t.compare = append(t.compare, condition)
	t.orElse = append(t.orElse, look)
	t.explain = append(t.explain, explain)
}

// do adds operations for when all conditions hold.
func (t *txn) do(ops ...clientv3.Op) { t.then = append(t.then, ops...) }

// commit runs the transaction. content names what is asked for, for the request
// id; result is what the first answer was made of. It gives result and its
// revision, or those of the first time when the request had been made before.
func (t *txn) commit(ctx context.Context, content string, result []byte) ([]byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.store.timeout)
	defer cancel()
	if t.audit != nil {
		op, err := auditOp(t.audit)
		if err != nil {
			return nil, 0, err
		}
		t.do(op)
	}
	answer, err := t.send(ctx, content, result)
	if err != nil {
		return nil, 0, refusal(err, t.tried) // it may have been done; the record of the request id tells
	}
	if answer.Succeeded {
		if t.audit != nil {
			t.store.audited(ctx, t.audit, answer.Header.Revision)
		}
		if t.kept && t.store.kept.Add(1)%sweepEvery == 1 {
			t.store.later(t.store.sweep) //nolint:contextcheck // it goes on behind the write
		}
		return result, answer.Header.Revision, nil
	}
	if t.write.RequestID != "" { // its condition is the last
		if found := answer.Responses[len(answer.Responses)-1].GetResponseRange().GetKvs(); len(found) > 0 {
			return t.replay(found[0], content)
		}
	}
	for i, explain := range t.explain {
		if err := explain(answer.Responses[i].GetResponseRange().GetKvs()); err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, mesh.Conflict("%s: it changed meanwhile; try again", t.tried)
}

// send makes the request id, if there is one, part of the transaction, and runs it.
func (t *txn) send(ctx context.Context, content string, result []byte) (*clientv3.TxnResponse, error) {
	if t.write.RequestID == "" {
		return t.store.client.Txn(ctx).If(t.compare...).Then(t.then...).Else(t.orElse...).Commit()
	}
	if len(t.write.RequestID) > 128 {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: t.tried + ": the request id is longer than 128 bytes"}
	}
	key := requestKey(t.write)
	record, err := json.Marshal(request{Content: hexOf(content), Result: result})
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: t.tried, Err: err}
	}
	first := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	for tries := 1; ; tries++ {
		lease, err := t.store.requestLease(ctx)
		if err != nil {
			return nil, err
		}
		remember := clientv3.OpPut(key, string(record), clientv3.WithLease(lease))
		answer, err := t.store.client.Txn(ctx).If(append(slices.Clone(t.compare), first)...).
			Then(append(slices.Clone(t.then), remember)...).Else(append(slices.Clone(t.orElse), clientv3.OpGet(key))...).Commit()
		if tries == 1 && errors.Is(err, rpctypes.ErrLeaseNotFound) { // etcd has been set up anew
			t.store.requests.forget(lease)
			continue
		}
		return answer, err
	}
}

// contentOf names an object's content, without what the registry sets.
func contentOf[T any](noun string, object T, meta func(*T) *mesh.Meta) string {
	*meta(&object) = mesh.Meta{}
	data, err := json.Marshal(object)
	if err != nil {
		return noun // it has been encoded before, with success
	}
	return noun + string(data)
}

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
