package accesslog

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Shelf is what the servers of a mesh share.
type Shelf interface {
	// SaveSightings adds to what is kept of a reporter, and gives what is kept then.
	// Of more rows than most, those go first that are not known; no time is after now.
	SaveSightings(ctx context.Context, more mesh.Sightings, most int, known func(peer string) bool, now time.Time) (mesh.Sightings, error)
	// SavedSightings gives what was saved since a revision, of all reporters if it is
	// 0; all is how many reporters there are.
	SavedSightings(ctx context.Context, since int64) (changed []mesh.Sightings, all int, revision int64, err error)
	// DropSightings forgets reporters, at most dropsATick.
	DropSightings(ctx context.Context, reporters []string) error
	// PublishLive replaces what this server shows the others, for as long as it calls
	// again; nil says that nothing changed.
	PublishLive(ctx context.Context, server string, live []mesh.Sightings) error
	// Live gives what the others show, by server.
	Live(ctx context.Context) (map[string][]mesh.Sightings, error)
}

// How often a keeper does what.
const (
	tick       = 5 * time.Second
	soon       = 10 * time.Second // between two saves of a reporter with something new
	coarse     = time.Hour        // between two saves of others
	idle       = time.Hour        // until a row without calls is forgotten in memory
	aMinute    = time.Minute      // between two looks at who is connected
	savesATick = 200
	dropsATick = 50
	publishing = 32 << 10            // bytes a second that a large mesh's live rows may take
	aRow       = 120                 // bytes that one takes, about
	kept       = 30 * 24 * time.Hour // of who is not declared any more, since it was seen last
	keptRows   = 1000                // rows that are kept of one reporter
)

// KeeperConfig has what a keeper needs; all of it but Logger is required.
type KeeperConfig struct {
	Table  *Table
	Shelf  Shelf
	Server string // names this server among those of the mesh
	Now    func() time.Time
	// Connected calls watch with whoever has proxies connected, and whether one of
	// them reports nothing.
	Connected func(watch func(reporter string, blind bool))
	// Declared says whether a reporter is declared, or may be there without.
	Declared func(reporter string) bool
	Logger   *slog.Logger
}

// Keeper joins what the servers of a mesh saw.
type Keeper struct {
	cfg KeeperConfig

	mu     sync.Mutex // guards all below
	saved  map[string]mesh.Sightings
	others map[string][]mesh.Sightings // by server
	// listed are who is connected, and whom others show, as of listedAt.
	listed   map[string]bool
	listedAt time.Time

	// Of Run alone.
	revision  int64
	published time.Time
	size      int // rows
	looked    time.Time
	failing   bool
}

// NewKeeper makes a keeper; Run it.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, saved: map[string]mesh.Sightings{}}
	cfg.Table.gateway = k.isGateway
	return k
}

// isGateway says whether a gateway of a name is connected to this server, or was seen by
// the others. Who is there is looked up once a second at most, however many names
// somebody makes up.
func (k *Keeper) isGateway(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.cfg.Now(); k.listed == nil || now.Sub(k.listedAt) >= time.Second {
		k.listed, k.listedAt = map[string]bool{}, now
		k.cfg.Connected(func(reporter string, _ bool) { k.listed[reporter] = true })
		for _, live := range k.others {
			for i := range live {
				k.listed[live[i].Reporter] = true
			}
		}
	}
	_, saved := k.saved[name]
	return saved || k.listed[name]
}

// Run shares and saves until ctx ends, and then once more, for at most last.
func (k *Keeper) Run(ctx context.Context, last time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		k.turn(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
			defer cancel()
			err := k.save(ctx, func(string) bool { return true }, len(k.cfg.Table.names()))
			if err == nil {
				err = k.cfg.Shelf.PublishLive(ctx, k.cfg.Server, []mesh.Sightings{}) // it is all saved
			}
			if err != nil {
				k.cfg.Logger.Warn("what was seen of calls since it was saved last is lost, for etcd did not take it", "error", err)
			}
			return
		}
	}
}

// turn does what is due. What fails is done the next time.
func (k *Keeper) turn(ctx context.Context) {
	now := k.cfg.Now()
	if now.Sub(k.looked) >= aMinute {
		k.looked = now
		k.cfg.Connected(k.watch)
		k.cfg.Table.watchOpen()
		k.cfg.Table.forget()
	}
	err := cmp.Or(k.refresh(ctx), k.save(ctx, func(name string) bool { return k.cfg.Table.due(name, soon) }, savesATick), k.publish(ctx, now), k.sweep(ctx, now))
	if failing := err != nil && ctx.Err() == nil; failing != k.failing {
		k.failing = failing
		if failing {
			k.cfg.Logger.Warn("what proxies saw of calls is not shared with other servers or saved, until etcd takes it", "error", err)
		}
	}
}

// watch notes who is connected. Envoy opens a stream of reports with the first call
// only: whoever has reported once is watched for as long as it stays connected.
func (k *Keeper) watch(name string, blind bool) {
	k.mu.Lock()
	before := k.saved[name]
	k.mu.Unlock()
	now := k.cfg.Now()
	switch {
	case blind:
		k.cfg.Table.note(name, (*reporter).isBlind)
	case k.cfg.Table.watching(name) || !before.Since.IsZero() && now.Sub(before.Through) <= mesh.WatchGap:
		k.cfg.Table.note(name, (*reporter).watch)
	}
}

// Sightings are what the whole mesh saw, by reporter: what was saved, what other
// servers show, and what was reported here since.
func (k *Keeper) Sightings() []mesh.Sightings {
	k.mu.Lock()
	all := maps.Clone(k.saved)
	var more []mesh.Sightings
	for _, live := range k.others {
		more = append(more, live...)
	}
	k.mu.Unlock()
	return k.joined(all, more, k.cfg.Table.names())
}

// SightingsOf are those of some reporters, and cost no more than these.
func (k *Keeper) SightingsOf(reporters ...string) []mesh.Sightings {
	all := map[string]mesh.Sightings{}
	var more []mesh.Sightings
	k.mu.Lock()
	for _, name := range reporters {
		if one, is := k.saved[name]; is {
			all[name] = one
		}
	}
	for _, live := range k.others {
		for i := range live {
			if slices.Contains(reporters, live[i].Reporter) {
				more = append(more, live[i])
			}
		}
	}
	k.mu.Unlock()
	here := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(reporters))), func(name string) bool { return k.cfg.Table.find(name) == nil })
	return k.joined(all, more, here)
}

// joined adds to what was saved what others show, and what was reported here by some.
func (k *Keeper) joined(all map[string]mesh.Sightings, more []mesh.Sightings, here []string) []mesh.Sightings {
	for _, name := range here {
		more = append(more, k.cfg.Table.unsaved(name))
	}
	for _, one := range more {
		so := all[one.Reporter]
		so.Reporter = one.Reporter
		so.Add(one, keptRows, k.cfg.Table.known)
		all[one.Reporter] = so
	}
	out := make([]mesh.Sightings, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}
