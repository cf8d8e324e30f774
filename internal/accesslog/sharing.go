package accesslog

import (
	"context"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// refresh reads what others saved and show.
func (k *Keeper) refresh(ctx context.Context) error {
	now := k.cfg.Now()
	changed, all, revision, err := k.cfg.Shelf.SavedSightings(ctx, k.revision)
	if err != nil {
		return err
	}
	k.mu.Lock()
	gone := k.revision != 0
	for _, one := range changed {
		k.saved[one.Reporter] = one.Until(now)
	}
	gone = gone && len(k.saved) > all
	k.mu.Unlock()
	k.revision = revision
	if gone { // somebody dropped some: which they are only the whole list tells
		if changed, _, k.revision, err = k.cfg.Shelf.SavedSightings(ctx, 0); err != nil {
			k.revision = 0
			return err
		}
		k.mu.Lock()
		clear(k.saved)
		for _, one := range changed {
			k.saved[one.Reporter] = one.Until(now)
		}
		k.mu.Unlock()
	}
	live, err := k.cfg.Shelf.Live(ctx)
	if err != nil {
		return err
	}
	delete(live, k.cfg.Server)
	for server, rows := range live {
		live[server] = slices.Clone(rows)
		for i := range rows {
			live[server][i] = rows[i].Until(now)
		}
	}
	k.mu.Lock()
	k.others = live
	k.mu.Unlock()
	return nil
}

// save saves those of the table that are due, as many as may be.
func (k *Keeper) save(ctx context.Context, due func(string) bool, most int) error {
	for _, name := range k.cfg.Table.names() {
		if !due(name) || !k.cfg.Table.keeps(name) {
			continue
		}
		if most--; most < 0 {
			return nil
		}
		more, giveBack := k.cfg.Table.take(name)
		if len(more.Rows) == 0 && more.Since.IsZero() && more.Blind.IsZero() {
			continue
		}
		after, err := k.cfg.Shelf.SaveSightings(ctx, lasting(more), keptRows, k.cfg.Table.known, k.cfg.Now())
		if err != nil {
			giveBack()
			return err
		}
		k.mu.Lock()
		k.saved[name] = after
		k.mu.Unlock()
		k.cfg.Table.saved(more)
	}
	return nil
}

// lasting is what is kept: no rates.
func lasting(s mesh.Sightings) mesh.Sightings {
	s.Rows = slices.Clone(s.Rows)
	for i := range s.Rows {
		s.Rows[i].Rate, s.Rows[i].ErrorRate, s.Rows[i].RefusedRate, s.Rows[i].ThereRate = 0, 0, 0, 0
	}
	return s
}

// publish shows the others what was reported here, if there are any: the larger it
// is, the more rarely.
func (k *Keeper) publish(ctx context.Context, now time.Time) error {
	k.mu.Lock()
	alone := len(k.others) == 0
	k.mu.Unlock()
	var live []mesh.Sightings // nil: this server is there
	size := 0
	if pause := time.Duration(k.size*aRow/publishing) * time.Second; !alone && now.Sub(k.published) >= pause {
		live, size = []mesh.Sightings{}, 0
		for _, name := range k.cfg.Table.names() {
			one := k.cfg.Table.unsaved(name)
			one.Rows = slices.DeleteFunc(one.Rows, func(s mesh.Sighting) bool { return now.Sub(s.LastSeen) > idle })
			if len(one.Rows) > 0 {
				live = append(live, one)
				size += len(one.Rows)
			}
		}
	}
	err := k.cfg.Shelf.PublishLive(ctx, k.cfg.Server, live)
	if err == nil && live != nil {
		k.size, k.published = size, now
	}
	return err
}

// sweep drops whoever is not declared any more, after a while; some at a time.
func (k *Keeper) sweep(ctx context.Context, now time.Time) error {
	k.mu.Lock()
	var gone []string
	for name, s := range k.saved {
		if !k.cfg.Declared(name) && now.Sub(lastOf(s)) > kept {
			if gone = append(gone, name); len(gone) == dropsATick {
				break
			}
		}
	}
	k.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	if err := k.cfg.Shelf.DropSightings(ctx, gone); err != nil {
		return err
	}
	k.mu.Lock()
	for _, name := range gone {
		delete(k.saved, name)
	}
	k.mu.Unlock()
	return nil
}

// lastOf is when something was seen of a reporter last.
func lastOf(s mesh.Sightings) time.Time {
	last := s.Since
	if s.Through.After(last) {
		last = s.Through
	}
	for _, row := range s.Rows {
		if row.LastSeen.After(last) {
			last = row.LastSeen
		}
	}
	return last
}
