package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// storedSource is what is stored of a keeper's source. Writes compare the bytes, so a
// field more would refuse those of older servers.
type storedSource struct {
	Source string `json:"source"`
}

func sourceKey(keeper mesh.Keeper) string {
	return sourcePrefix + string(keeper.OfAll())
}

// NoteKeeper notes which source a keeper belongs to. What is noted already stays as it
// is; another source is replaced only by who names it (note.Instead), and refused
// otherwise with [mesh.ReasonOtherSource]. A source that another keeper belongs to is
// refused with [mesh.ReasonOtherName], unless that one is the name that it gives up
// (note.Renamed). For admins and tokens of the keeper, and of the one given up.
func (s *Store) NoteKeeper(ctx context.Context, keeper mesh.Keeper, note mesh.KeeperSource, w Write) error {
	w.Keeper = keeper
	tried := "note the source of keeper " + quoted(string(keeper))
	if err := mayKeep(w, mesh.Keeper.OfInstances, keepersOfInstances); err != nil {
		return err
	}
	if err := mesh.Invalid(tried, note.Validate()); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		err := s.noteOver(ctx, keeper, note, w, tried)
		if tries == overtakenAtMost || !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

func (s *Store) noteOver(ctx context.Context, keeper mesh.Keeper, note mesh.KeeperSource, w Write, tried string) error {
	key, revision := sourceKey(keeper), int64(0)
	found, err := s.read(ctx, key, tried)
	if err != nil {
		return err
	}
	former, seen, err := s.formerKeeper(ctx, keeper, found, note.Source, tried)
	if err != nil {
		return err
	}
	if err := mayRename(keeper, former, note, w); err != nil {
		return err
	}
	entry := w.entry("note source", "keeper/"+string(keeper))
	if found != nil {
		is := decodeSource(found)
		switch {
		case is == note.Source && former == "":
			return nil
		case is == note.Source:
		case is == note.Instead:
			entry.Action = "adopt"
			entry.Changes = []mesh.AuditChange{{Field: "source", Before: is, After: note.Source}}
		default:
			return otherSource(keeper, note.Source, is)
		}
		revision = found.ModRevision
		entry.Previous = revision
	}
	value, err := json.Marshal(storedSource{note.Source})
	if err != nil {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	t := s.newTxn(tried, Write{})
	t.guard(at(key, revision), noneNewer(sourcePrefix, seen))
	t.do(clientv3.OpPut(key, string(value)))
	if former != "" {
		t.do(clientv3.OpDelete(sourceKey(former)))
		entry.Action = "rename"
		entry.Changes = append(entry.Changes, mesh.AuditChange{Field: "keeper", Before: string(former), After: string(keeper)})
	}
	t.audit = &entry
	_, _, err = t.commit(ctx, "", nil)
	return err
}

// mayRename judges a source that another keeper belongs to already: it has to give up
// that name, and the writer has to have the right to it.
func mayRename(keeper, former mesh.Keeper, note mesh.KeeperSource, w Write) error {
	switch {
	case former == "":
		return nil
	case note.Renamed == "" || former != mesh.OfCluster(note.Renamed):
		return mesh.ConflictBecause(mesh.ReasonOtherName, "%s is noted as the source of keeper %s already, so it is not %s too", quoted(note.Source), former, keeper)
	}
	w.Keeper = former
	return mayKeep(w, mesh.Keeper.OfInstances, "kubernetes/CLUSTER")
}

// Keepers lists the keepers of instances that a source is noted for, by name.
func (s *Store) Keepers(ctx context.Context) ([]mesh.Keeper, int64, error) {
	var out []mesh.Keeper
	revision, err := s.pages(ctx, sourcePrefix, 0, func(kv *mvccpb.KeyValue) {
		out = append(out, mesh.Keeper(kv.Key[len(sourcePrefix):]))
	})
	return out, revision, refusal(err, "list the keepers")
}

// formerKeeper gives the first keeper that was noted for a source before keeper was, or
// "", and the revision as of which that is so. Of two that were noted from before
// sources had one name, the first goes on.
func (s *Store) formerKeeper(ctx context.Context, keeper mesh.Keeper, own *mvccpb.KeyValue, source, tried string) (mesh.Keeper, int64, error) {
	var first mesh.Keeper
	before := int64(math.MaxInt64)
	if own != nil && decodeSource(own) == source {
		before = own.CreateRevision
	}
	revision, err := s.pages(ctx, sourcePrefix, 0, func(kv *mvccpb.KeyValue) {
		if string(kv.Key) != sourceKey(keeper) && decodeSource(kv) == source && kv.CreateRevision < before {
			first, before = mesh.Keeper(kv.Key[len(sourcePrefix):]), kv.CreateRevision
		}
	})
	return first, revision, refusal(err, tried)
}

// decodeSource gives the source that is noted; what cannot be read is told as it is, so
// that it can be named and replaced.
func decodeSource(kv *mvccpb.KeyValue) string {
	var stored storedSource
	if json.Unmarshal(kv.Value, &stored) != nil || stored.Source == "" {
		return string(bytes.ToValidUTF8(kv.Value, []byte("?")))
	}
	return stored.Source
}

func otherSource(keeper mesh.Keeper, writes, is string) error {
	whose := "it is noted to belong to " + quoted(is)
	if is == "" {
		whose = "nobody has noted whose it is"
	}
	return mesh.ConflictBecause(mesh.ReasonOtherSource, "%s does not write for keeper %s: %s", quoted(writes), keeper.OfAll(), whose)
}

// ofSource has a write done only if its keeper belongs to the source that writes.
func (t *txn) ofSource(w Write) {
	if w.Keeper == "" || w.KeeperSource == "" {
		return
	}
	wanted, err := json.Marshal(storedSource{w.KeeperSource})
	if err != nil {
		return // a string can be encoded
	}
	key := sourceKey(w.Keeper)
	t.require(clientv3.Compare(clientv3.Value(key), "=", string(wanted)), clientv3.OpGet(key), func(found []*mvccpb.KeyValue) error {
		switch {
		case len(found) == 0:
			return otherSource(w.Keeper, w.KeeperSource, "")
		case !bytes.Equal(found[0].Value, wanted):
			return otherSource(w.Keeper, w.KeeperSource, decodeSource(found[0]))
		}
		return nil
	})
}
