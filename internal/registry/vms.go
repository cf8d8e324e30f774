package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// vmBytes bounds the values of one transaction; etcd takes 1.5 MiB.
const vmBytes = 512 << 10

// WriteVMs puts virtual machines and deletes others, in transactions of at most
// [MaxBatch], and gives the revision of the last one; 0 if there is nothing to do. It is
// for the server that refreshes their sources: once another has taken over, nothing
// more is written. A write that was cut off is completed by one of what is missing.
func (s *Store) WriteVMs(ctx context.Context, term Term, put []mesh.VM, gone []mesh.VMKey) (int64, error) {
	tried := fmt.Sprintf("write %d virtual machines and delete %d", len(put), len(gone))
	w := s.followed(ctx, Write{Author: "discovery", Source: mesh.VMKeeper})
	var ops []clientv3.Op
	revision, size := int64(0), 0
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		t := s.newTxn(tried, Write{})
		t.inTerm(term)
		if err := t.writeVMs(ops, w); err != nil {
			return err
		}
		_, at, err := t.commit(ctx, "", nil)
		revision, size, ops = max(revision, at), 0, ops[:0]
		return err
	}
	for i := range put {
		if err := mesh.Invalid("VM "+quoted(put[i].Key().String())+" is not valid", put[i].Validate()); err != nil {
			return revision, err
		}
		value, err := vms.encode(put[i], w, timeNow())
		if err != nil {
			return revision, err
		}
		if size+len(value) > vmBytes || len(ops) == MaxBatch {
			if err := flush(); err != nil {
				return revision, err
			}
		}
		ops = append(ops, clientv3.OpPut(vms.key(&put[i]), string(value)))
		size += len(value)
	}
	for _, key := range gone {
		if len(ops) == MaxBatch {
			if err := flush(); err != nil {
				return revision, err
			}
		}
		ops = append(ops, clientv3.OpDelete(vmPrefix+key.String()))
	}
	return revision, flush()
}

// writeVMs has the transaction change virtual machines, and say so.
func (t *txn) writeVMs(ops []clientv3.Op, w Write) error {
	snapshot, err := vmSnapshots.encode(mesh.VMSnapshot{}, w, timeNow())
	if err == nil {
		t.do(append(ops, clientv3.OpPut(vmSnapshotKey, string(snapshot)))...)
	}
	return err
}

// WriteDiscovery notes how a source of virtual machines does, in the term of the server
// that refreshes it.
func (s *Store) WriteDiscovery(ctx context.Context, term Term, source mesh.DiscoverySource) error {
	tried := "note how source " + quoted(source.Name) + " does"
	value, err := json.Marshal(source)
	if err != nil {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	t := s.newTxn(tried, Write{})
	t.inTerm(term)
	t.do(clientv3.OpPut(discoveryPrefix+source.Name, string(value)))
	_, _, err = t.commit(ctx, "", nil)
	return err
}

// Discovery gives how the sources of virtual machines do, by name.
func (s *Store) Discovery(ctx context.Context) ([]mesh.DiscoverySource, error) {
	var out []mesh.DiscoverySource
	_, err := s.pages(ctx, discoveryPrefix, 0, func(kv *mvccpb.KeyValue) {
		one := mesh.DiscoverySource{}
		if json.Unmarshal(kv.Value, &one) != nil {
			one = mesh.DiscoverySource{Error: "what the registry has of it cannot be read; the next refresh writes it anew"}
		}
		one.Name = strings.TrimPrefix(string(kv.Key), discoveryPrefix)
		out = append(out, one)
	})
	return out, refusal(err, "read how discovery does")
}
