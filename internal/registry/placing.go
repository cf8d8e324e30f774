package registry

import (
	"context"
	"encoding/json"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// PlacingOffice is that of the server that makes virtual machines instances of services.
// It is another one than [DiscoveryOffice], for every server can do that, also those
// that have no sources in their settings.
const PlacingOffice = "placing"

// WritePlacing notes how placing does, for as long as the term lasts.
func (s *Store) WritePlacing(ctx context.Context, term Term, placing mesh.Placing) error {
	const tried = "note how placing machines does"
	value, err := json.Marshal(placing)
	if err != nil {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	t := s.newTxn(tried, Write{})
	t.inTerm(term)
	t.do(clientv3.OpPut(placingKey, string(value), clientv3.WithLease(term.lease)))
	_, _, err = t.commit(ctx, "", nil)
	return err
}
