package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Batch is what one step of a watch brings.
type Batch struct {
	// Revision is etcd's, up to which the watcher now knows everything. One before that of
	// an earlier batch says that etcd was restored to it.
	Revision int64
	// Changes are in the order of their revisions. A deleted object is given
	// as it was last, or by its name alone.
	Changes []mesh.Change
	// Synced says that with this batch the watcher knows the whole mesh.
	Synced bool
	// Reset says that the changes are the whole mesh, and that what is not
	// among them does not exist (Follow only).
	Reset bool
}

// WatchConfig has settings whose zero values work.
type WatchConfig struct {
	// RelistInterval is how often the mirror is compared with a full list, to
	// prove that the watch missed nothing; jittered, default 5 minutes.
	RelistInterval time.Duration
	// Diverged is told how many objects such a list found to differ, if any.
	Diverged func(objects int)
	// Down is told why etcd could not be followed, each time; nil once it is
	// followed again.
	Down func(error)
}

// Watch hands over the whole mesh, and from then on what changes, until ctx
// ends. It lists at a revision and watches from the next one.
// After a compaction or a broken watch it lists again and hands over only the
// differences. An outage hands over nothing: what was known stays. handle is
// called by one goroutine, one batch at a time.
func (s *Store) Watch(ctx context.Context, cfg WatchConfig, handle func(Batch)) {
	if cfg.RelistInterval == 0 {
		cfg.RelistInterval = 5 * time.Minute
	}
	w := &watcher{store: s, cfg: cfg, handle: handle, mirror: newMirror(s)}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, 2*time.Second
	for ctx.Err() == nil {
		err := w.once(ctx, wait.Reset)
		if ctx.Err() != nil {
			break
		}
		pause := wait.NextBackOff()
		if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, errRewound) {
			pause = 0
		}
		s.logger.Warn("etcd could not be followed; what is known stays in force", "error", err, "retry_in", pause)
		w.down(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// watcher is a Watch under way; one goroutine owns it.
type watcher struct {
	store  *Store
	cfg    WatchConfig
	handle func(Batch)
	mirror *mirror
	// reached is where the mirror is, for the pulse to read.
	reached atomic.Pointer[mark]
}

// tell says that etcd is away while the watch waits for it, or back.
func (w *watcher) tell(err error) {
	if err != nil {
		w.store.logger.Warn("etcd is away; what is known stays in force", "error", err)
	} else {
		w.store.logger.Info("etcd is back")
	}
	w.down(err)
}

func (w *watcher) down(err error) {
	if w.cfg.Down != nil {
		w.cfg.Down(err)
	}
}

// once lists, hands over the differences, and watches until that fails.
func (w *watcher) once(ctx context.Context, healthy func()) error {
	_, term, err := w.store.position(ctx)
	if err != nil {
		return err
	}
	if _, err := w.relist(ctx, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	group, ctx := errgroup.WithContext(ctx)
	defer func() {
		cancel()
		_ = group.Wait() // of the pulse, which ends with ctx
	}()
	beats := make(chan beat)
	group.Go(func() error { return w.pulse(ctx, beats) })
	// Opening the watch blocks for as long as etcd is away, which the pulse tells.
	opened, from := make(chan clientv3.WatchChan, 1), w.mirror.revision+1
	group.Go(func() error {
		opened <- w.store.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
		return nil
	})
	var answers clientv3.WatchChan
	proof := time.NewTimer(w.nextProof())
	defer proof.Stop()
	away, silent := false, silence{}
	for {
		select {
		case <-proof.C:
			if err := w.prove(ctx); err != nil {
				return err
			}
			proof.Reset(w.nextProof())
		case b := <-beats:
			if b.err == nil && b.revision < b.asked {
				return errRewound
			}
			if silent = silent.next(b); silent.beats >= silentBeats {
				return errSilent
			}
			// etcd's client mends a broken watch by itself, and says nothing.
			back := b.err == nil && away
			if (b.err != nil) != away {
				away = b.err != nil
				w.tell(b.err)
			}
			if b.err != nil {
				continue
			}
			// Data that were replaced mostly come with another term, as all members began anew.
			elected := b.term != term
			term = b.term
			if back || elected || b.replaced {
				if err := w.compare(ctx); err != nil {
					return err
				}
			}
		case answers = <-opened:
		case answer, open := <-answers:
			switch {
			case !open:
				return errors.New("the watch ended")
			case answer.Err() != nil:
				return answer.Err()
			case answer.Created:
				healthy()
				w.down(nil)
				continue
			}
			w.take(answer)
		}
	}
}

// errRewound says that etcd holds another history than before: it was restored
// from a backup, or set up anew.
var errRewound = errors.New("etcd is at an earlier revision than before: its data were replaced")

// pulseInterval is how often a watcher asks whether etcd is still there, since a
// watch that has nothing to say does not tell.
const pulseInterval = 2 * time.Second

// silentBeats is for how many beats a watch may stay behind what etcd said that
// it is at, although it was asked how far it is.
const silentBeats = 2

// errSilent says that etcd goes on but the watch does not: it hangs on a member
// that is as good as dead.
var errSilent = errors.New("the watch brings nothing although etcd goes on")

// silence counts the beats for which a watch did not catch up.
type silence struct {
	revision int64 // where etcd was at the last beat
	beats    int
}

func (s silence) next(b beat) silence {
	switch {
	case b.err != nil:
		return silence{}
	case b.asked < s.revision:
		return silence{b.revision, s.beats + 1}
	}
	return silence{revision: b.revision}
}

// beat is one answer of etcd to a watcher's pulse.
type beat struct {
	asked    int64 // the mirror's revision before etcd was asked
	revision int64 // etcd's
	term     uint64
	replaced bool // the newest value that the mirror knows is not what etcd had then
	err      error
}

// mark is where a mirror is: a revision, and the newest value that it knows by
// then. In another history there is mostly another one.
type mark struct {
	revision int64
	key      string // "" if the newest value was deleted since
	written  int64  // its revision
}

// pulse asks etcd for its revision until ctx ends.
func (w *watcher) pulse(ctx context.Context, beats chan<- beat) error {
	tick := time.NewTicker(pulseInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		at := w.reached.Load()
		b := beat{asked: at.revision}
		b.revision, b.term, b.err = w.store.position(ctx)
		if b.err == nil && b.revision >= at.revision {
			b.replaced = w.store.replaced(ctx, *at)
		}
		if b.err == nil {
			_ = w.store.client.RequestProgress(ctx) // answered in the watch; silence tells too
		}
		select {
		case <-ctx.Done():
			return nil
		case beats <- b:
		}
	}
}

// nextProof spreads the full lists of many servers over time.
func (w *watcher) nextProof() time.Duration {
	return time.Duration(float64(w.cfg.RelistInterval) * (0.75 + rand.Float64()/2)) //nolint:gosec // jitter
}

// take applies one answer of the watch.
func (w *watcher) take(answer clientv3.WatchResponse) {
	batch := Batch{Revision: completeTo(answer), Synced: true}
	for _, event := range answer.Events {
		key := string(event.Kv.Key)
		if !inMesh(key) {
			continue
		}
		if event.Type == clientv3.EventTypeDelete {
			batch.Changes = append(batch.Changes, w.mirror.remove(key, event.Kv.ModRevision)...)
			continue
		}
		batch.Changes = append(batch.Changes, w.mirror.put(key, stored{event.Kv.Value, event.Kv.ModRevision, event.Kv.CreateRevision})...)
	}
	w.moveTo(batch.Revision)
	if len(batch.Changes) > 0 {
		w.handle(batch)
	}
}

// completeTo is the revision up to which nothing is missing after a watch's
// answer. The header's is not: what a watcher has missed comes in pieces of 1,000
// revisions, and the header of each holds the revision that etcd is at.
func completeTo(answer clientv3.WatchResponse) int64 {
	if n := len(answer.Events); n > 0 {
		return answer.Events[n-1].Kv.ModRevision
	}
	return answer.Header.Revision
}

func (w *watcher) moveTo(revision int64) {
	w.mirror.revision = revision
	w.reached.Store(&mark{revision, w.mirror.newest, w.mirror.known[w.mirror.newest].revision})
}

// relist compares the mirror with a full list at a revision (0: now) and hands
// over the differences. It gives their number.
func (w *watcher) relist(ctx context.Context, at int64) (int, error) {
	listed, revision, err := w.store.listMesh(ctx, at)
	if err != nil {
		return 0, err
	}
	before := w.mirror.revision
	changes := w.mirror.replace(listed, revision)
	w.moveTo(revision)
	if before == 0 || revision < before || len(changes) > 0 {
		w.handle(Batch{Revision: revision, Changes: changes, Synced: true})
	}
	return len(changes), nil
}

// compare takes in what etcd holds at the mirror's revision when it is back or has
// another leader: its data may have been replaced by older ones, and have come as far since as they
// were before, so that no revision tells.
func (w *watcher) compare(ctx context.Context) error {
	found, err := w.relist(ctx, w.mirror.revision)
	if err == nil && found > 0 {
		w.store.logger.Warn("etcd holds another history than before: its data were replaced", "objects", found)
	}
	return err
}

// prove compares the mirror with etcd at the very revision that the mirror is
// at. A difference means that something was missed, and is mended and told. It
// fails when etcd does not have that revision any more, or not yet: then the
// watch has to begin anew.
func (w *watcher) prove(ctx context.Context) error {
	found, err := w.relist(ctx, w.mirror.revision)
	switch {
	case errors.Is(err, rpctypes.ErrFutureRev):
		return errRewound
	case errors.Is(err, rpctypes.ErrCompacted):
		return err
	case err != nil:
		w.store.logger.Debug("the mirror could not be compared with etcd; it will be next time", "error", err)
	case found > 0:
		w.store.logger.Error("the watch of etcd had missed changes; they are applied now", "objects", found)
		if w.cfg.Diverged != nil {
			w.cfg.Diverged(found)
		}
	}
	return nil
}
