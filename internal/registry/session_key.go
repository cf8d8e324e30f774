package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// SessionKey gives the key, of 32 bytes, by which all servers of a mesh keep
// sessions of people in cookies; the first who asks makes it. Whoever deletes it
// in etcd ends these sessions.
func (s *Store) SessionKey(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	const tried = "read the key of sessions"
	made := make([]byte, 32)
	_, _ = rand.Read(made) // never fails: it ends the process instead
	answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(sessionKeyKey), "=", 0)).
		Then(clientv3.OpPut(sessionKeyKey, hex.EncodeToString(made))).Else(clientv3.OpGet(sessionKeyKey)).Commit()
	if err != nil {
		return nil, refusal(err, tried)
	}
	if answer.Succeeded {
		return made, nil
	}
	stored, err := hex.DecodeString(string(answer.Responses[0].GetResponseRange().Kvs[0].Value))
	if err != nil || len(stored) != 32 {
		return nil, mesh.Unavailable(err, "%s: it is no key of 32 bytes; delete %s in etcd, and the servers make another", tried, sessionKeyKey)
	}
	return stored, nil
}
