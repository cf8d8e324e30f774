package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Patience with what may be over at once. A lease that is not renewed any more lasts for 18
// seconds at least, in which the other hosts have to hear of it and another bridge to register.
const (
	lossPatience = 3 * time.Second  // before others are told that the server is lost, or refuses
	gainPatience = 5 * time.Second  // before they are told that it is back, after the first loss
	mostPatience = 5 * time.Minute  // before they are, after many
	steadyAfter  = 10 * time.Minute // without a loss the next one is the first again
	sameReason   = time.Minute      // for which a reason stays as it was told: each attempt may fail in its own words
	askAgain     = 15 * time.Second // what was refused
	tryAgain     = 5 * time.Second  // what was not answered
)

// link says whether a bridge does its part: by how long the server has been there, or not.
// One that is lost again and again is believed later and later, as its share moves each time.
type link struct {
	up, follows, ever bool
	since             time.Time // of up
	gained            time.Time // when it followed last
	patience          time.Duration
}

func (l *link) judge(up bool, now time.Time) bool {
	if up != l.up {
		l.up, l.since = up, now
	}
	age := now.Sub(l.since)
	switch {
	case l.follows && !up && age >= lossPatience:
		l.patience = min(2*l.patience, mostPatience)
		if now.Sub(l.gained) >= steadyAfter || l.patience == 0 {
			l.patience = gainPatience
		}
		l.follows = false
	case !l.follows && up && (!l.ever || age >= l.patience):
		l.follows, l.ever, l.gained = true, true, now
	}
	return l.follows
}

// reason is why something is so, as others are told.
type reason struct {
	text string
	told time.Time
}

func (r *reason) is(text string, now time.Time) string {
	if text == "" || r.text == "" || now.Sub(r.told) > sameReason {
		r.text, r.told = text, now
	}
	return r.text
}

// speaker makes what others are told of a bridge; Run's goroutine alone touches it.
type speaker struct {
	link                 link
	away, denied, absent reason
}

// says gives what this host says of itself as a bridge; lost is why the mesh is not
// followed, nil if it is.
func (s *speaker) says(b *Bridge, synced bool, lost error, now time.Time) hosts.Bridge {
	said := b.Begin()
	denied, unreached := b.writes.how(now)
	if lost == nil {
		lost = unreached
	}
	said.Follows = s.link.judge(synced && lost == nil, now)
	if !said.Follows && lost != nil {
		said.Away = s.away.is(hosts.ShortReason(lost.Error()), now)
	} else {
		s.away.is("", now)
	}
	absent := ""
	if text := b.absent.Load(); said.Follows && text != nil {
		absent = hosts.ShortReason(*text)
	}
	if absent = s.absent.is(absent, now); absent != "" {
		said.Away = absent
	}
	said.Refused = slices.Sorted(maps.Keys(denied))
	text := ""
	if len(said.Refused) > 0 {
		text = hosts.ShortReason(denied[said.Refused[0]].Error())
	}
	said.Denied = s.denied.is(text, now)
	if _, all := denied[anyService]; all || len(said.Refused) > hosts.MostRefused {
		said.Refused, said.RefusedAll = nil, true
	}
	return said
}

// anyService is the name for all when the token itself is not taken.
const anyService mesh.ServiceName = ""

// writes is the mesh's side for leases; it notes what became of what they write.
type writes struct {
	Mesh

	mu     sync.Mutex
	failed time.Time                   // guarded by mu: since when the server gives no answer at all; zero: it does
	why    error                       // guarded by mu
	last   mesh.InstanceKey            // guarded by mu: that was written
	tried  time.Time                   // guarded by mu: when
	denied map[mesh.ServiceName]denial // guarded by mu
}

// denial is of a service whose instances the server does not let this bridge write.
type denial struct {
	key   mesh.InstanceKey // one of them
	since time.Time
	asked time.Time // last
	why   error
}

func (w *writes) note(ctx context.Context, key mesh.InstanceKey, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.last, w.tried = key, now
	switch kind := mesh.KindOf(err); {
	case errors.Is(context.Cause(ctx), context.Canceled):
	case err != nil && (kind == "" || kind == mesh.KindUnavailable):
		if w.failed.IsZero() {
			w.failed = now
		}
		w.why = err
	case kind == mesh.KindDenied:
		w.failed = time.Time{}
		of := key.Service
		if mesh.ReasonOf(err) == client.ReasonToken {
			of = anyService
		} else {
			delete(w.denied, anyService)
		}
		d, was := w.denied[of]
		if !was {
			d.since = now
		}
		w.denied[of] = denial{key, d.since, now, err}
	default:
		w.failed = time.Time{}
		delete(w.denied, anyService)
		delete(w.denied, key.Service)
	}
}

// how says what has been refused for long enough, and why no write is answered, if none is.
func (w *writes) how(now time.Time) (denied map[mesh.ServiceName]error, unreached error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	denied = map[mesh.ServiceName]error{}
	for name, one := range w.denied {
		if now.Sub(one.since) >= lossPatience {
			denied[name] = one.why
		}
	}
	if !w.failed.IsZero() {
		return denied, w.why
	}
	return denied, nil
}

// refuses says whether a service's instances are refused as far as is known.
func (w *writes) refuses(name mesh.ServiceName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, is := w.denied[name]
	_, all := w.denied[anyService]
	return is || all
}

// concern forgets what was refused of services that the fleet does not run any more.
func (w *writes) concern(names map[mesh.ServiceName]struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.denied, func(name mesh.ServiceName, _ denial) bool {
		_, runs := names[name]
		return !runs && name != anyService
	})
}

// due gives what is to be asked again: an instance of each service that was refused, and
// any when nothing was answered. Leases do it too, but other bridges may have them now.
func (w *writes) due(now time.Time) []mesh.InstanceKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []mesh.InstanceKey
	for name, one := range w.denied {
		if now.Sub(one.asked) >= askAgain {
			one.asked = now
			w.denied[name] = one
			list = append(list, one.key)
		}
	}
	if !w.failed.IsZero() && len(list) == 0 && now.Sub(w.tried) >= tryAgain {
		w.tried = now
		list = append(list, w.last)
	}
	return list
}

// ask finds out whether the server would take a write, which changes nothing: nobody has
// a registration of that epoch.
func (w *writes) ask(ctx context.Context, key mesh.InstanceKey) {
	ctx, cancel := context.WithTimeout(ctx, tryAgain)
	defer cancel()
	_, _ = w.Renew(ctx, key, "asked-by-a-bridge") // what comes of it is noted
}

// Register implements lease.Registrar.
func (w *writes) Register(ctx context.Context, instances []mesh.Instance, ttl time.Duration) ([]mesh.Instance, error) {
	made, err := w.Mesh.Register(ctx, instances, ttl)
	w.note(ctx, instances[0].Key(), err)
	return made, err
}

// Renew implements lease.Registrar.
func (w *writes) Renew(ctx context.Context, key mesh.InstanceKey, epoch string) (time.Duration, error) {
	ttl, err := w.Mesh.Renew(ctx, key, epoch)
	w.note(ctx, key, err)
	return ttl, err
}

// SetHealth implements lease.Registrar.
func (w *writes) SetHealth(ctx context.Context, key mesh.InstanceKey, epoch string, health mesh.Health) (mesh.Instance, error) {
	one, err := w.Mesh.SetHealth(ctx, key, epoch, health)
	w.note(ctx, key, err)
	return one, err
}

// Deregister implements lease.Registrar.
func (w *writes) Deregister(ctx context.Context, key mesh.InstanceKey, epoch string) error {
	err := w.Mesh.Deregister(ctx, key, epoch)
	w.note(ctx, key, err)
	return err
}
