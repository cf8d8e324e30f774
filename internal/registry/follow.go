package registry

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Follow hands over the changes after a revision, for one reader that wants to
// come back to where it was: batch after batch, until ctx ends or handle fails.
// While etcd is away it waits, and goes on afterwards. from 0, a revision that
// etcd has compacted, and one that it has not reached (its data were replaced)
// begin with the whole mesh (Batch.Reset). A batch without changes says that
// everything before it has been handed over. Unlike [Store.Watch] it keeps
// nothing: the reader comes again, with the last revision that it saw.
func (s *Store) Follow(ctx context.Context, from int64, handle func(Batch) error) error {
	for {
		err := s.followOnce(ctx, from, handle)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return err
		}
		from = 0
	}
}

func (s *Store) followOnce(ctx context.Context, from int64, handle func(Batch) error) error {
	const tried = "follow the mesh"
	if from > 0 {
		switch revision, err := s.Revision(ctx); {
		case err != nil:
			return err
		case revision < from:
			from = 0
		}
	}
	if from <= 0 {
		listed, revision, err := s.listMesh(ctx, 0)
		if err != nil {
			return refusal(err, tried)
		}
		if err := handle(Batch{Revision: revision, Changes: readable(listed, revision), Synced: true, Reset: true}); err != nil {
			return err
		}
		from = revision
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for answer := range s.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(from+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify()) {
		if errors.Is(answer.Err(), rpctypes.ErrCompacted) {
			return rpctypes.ErrCompacted
		}
		if err := answer.Err(); err != nil {
			return refusal(err, tried)
		}
		if answer.Created {
			continue
		}
		if err := handle(Batch{Revision: completeTo(answer), Changes: eventChanges(answer.Events), Synced: true}); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return mesh.Unavailable(nil, "%s: etcd ended the watch", tried)
}

// readable gives what can be read of a list, by key.
func readable(listed map[string]stored, revision int64) []mesh.Change {
	m := newMirror(&Store{logger: discard()})
	return slices.DeleteFunc(m.replace(listed, revision), forServers)
}

// forServers says of a change that no reader of declarations has to know it: it is
// for the servers.
func forServers(c mesh.Change) bool {
	return c.TokenKeys != nil || c.Authorizer != nil || c.Revocation != nil || c.VMSnapshot != nil || c.Discovery != nil || c.Roster != nil || c.Placing != nil
}

func eventChanges(events []*clientv3.Event) []mesh.Change {
	var changes []mesh.Change
	for _, event := range events {
		key := string(event.Kv.Key)
		if !inMesh(key) {
			continue
		}
		if event.Type != clientv3.EventTypeDelete {
			if change, _, err := decodeChange(key, event.Kv.Value, event.Kv.ModRevision); err == nil {
				changes = append(changes, change)
			}
			continue
		}
		change, known := deletionOf(key, event.Kv.ModRevision)
		if event.PrevKv != nil {
			if before, _, err := decodeChange(key, event.PrevKv.Value, event.PrevKv.ModRevision); err == nil {
				change, known = before, true
				change.Deleted, change.Revision = true, event.Kv.ModRevision
			}
		}
		if known {
			changes = append(changes, change)
		}
	}
	return slices.DeleteFunc(changes, forServers)
}
