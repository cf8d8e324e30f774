package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// requestTTL is how long a request id is remembered.
const requestTTL = 24 * time.Hour

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
	lease   clientv3.LeaseID // of the record of the request id; 0: none
}

func (s *Store) newTxn(tried string, w Write) *txn { return &txn{store: s, tried: tried, write: w} }

// require adds a condition; look reads what explain is given if it fails.
func (t *txn) require(condition clientv3.Cmp, look clientv3.Op, explain func([]*mvccpb.KeyValue) error) {
	t.compare = append(t.compare, condition)
	t.orElse = append(t.orElse, look)
	t.explain = append(t.explain, explain)
}

// do adds operations for when all conditions hold.
func (t *txn) do(ops ...clientv3.Op) { t.then = append(t.then, ops...) }

// request is what is remembered of a request id: what was asked, and what was
// stored. The revision of the answer is the record's own.
type request struct {
	Content string          `json:"content"` // hash
	Result  json.RawMessage `json:"result,omitempty"`
}

// commit runs the transaction. content names what is asked for, for the request
// id; result is what the first answer was made of. It gives result and its
// revision, or those of the first time when the request had been made before.
func (t *txn) commit(ctx context.Context, content string, result []byte) ([]byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.store.timeout)
	defer cancel()
	requestKey := ""
	if t.write.RequestID != "" {
		if len(t.write.RequestID) > 128 {
			return nil, 0, &mesh.Error{Kind: mesh.KindInvalid, Message: t.tried + ": the request id is longer than 128 bytes"}
		}
		requestKey = requestPrefix + hexOf(t.write.Author) + "/" + hexOf(t.write.RequestID)
		if err := t.remember(ctx, requestKey, content, result); err != nil {
			return nil, 0, err
		}
	}
	answer, err := t.store.client.Txn(ctx).If(t.compare...).Then(t.then...).Else(t.orElse...).Commit()
	if err != nil {
		return nil, 0, refusal(err, t.tried) // it may have been done; the record of the request id tells
	}
	if answer.Succeeded {
		return result, answer.Header.Revision, nil
	}
	if t.lease != 0 {
		t.store.revoke(ctx, []clientv3.LeaseID{t.lease})
	}
	if requestKey != "" { // its condition is the last
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

// remember makes the request id part of the transaction.
func (t *txn) remember(ctx context.Context, key, content string, result []byte) error {
	record, err := json.Marshal(request{Content: hexOf(content), Result: result})
	if err != nil {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: t.tried, Err: err}
	}
	lease, err := t.store.client.Grant(ctx, int64(requestTTL.Seconds()))
	if err != nil {
		return refusal(err, t.tried)
	}
	t.lease = lease.ID
	t.compare = append(t.compare, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
	t.orElse = append(t.orElse, clientv3.OpGet(key))
	t.then = append(t.then, clientv3.OpPut(key, string(record), clientv3.WithLease(lease.ID)))
	return nil
}

// replay answers a request that was made before.
func (t *txn) replay(found *mvccpb.KeyValue, content string) ([]byte, int64, error) {
	var first request
	if err := json.Unmarshal(found.Value, &first); err != nil {
		return nil, 0, mesh.Unavailable(err, "%s: the record of request id %s is corrupt", t.tried, quoted(t.write.RequestID))
	}
	if first.Content != hexOf(content) {
		return nil, 0, mesh.Conflict("%s: request id %s was used before for something else; use a new one", t.tried, quoted(t.write.RequestID))
	}
	return first.Result, found.ModRevision, nil
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
