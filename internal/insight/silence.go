package insight

import (
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// silence is what may be said of a declared call that was not seen. Drift, topology
// and impact go by it alike: only of silent does anybody say that nobody calls.
type silence int

const (
	heard     silence = iota // it was seen lately
	unwatched                // nobody watches the caller, or has yet
	blind                    // some of the caller report nothing: gRPC libraries
	crowded                  // the caller calls more than is counted one by one
	lapsed                   // the caller is not watched any more
	early                    // it is not watched, or not declared, for long enough
	silent                   // it was watched for long enough, and there was no call
)

// listener tells silences apart.
type listener struct {
	view      *catalog.View
	now       time.Time
	limit     time.Duration // how long a call has to be missing
	reporters map[string]Reporter
	crowds    map[string]time.Time // when a caller was seen last to call what is not counted
}

func newListener(view *catalog.View, seen Observed, now time.Time, limit time.Duration) *listener {
	l := &listener{view: view, now: now, limit: limit, reporters: map[string]Reporter{}, crowds: map[string]time.Time{}}
	for _, one := range seen.Reporters {
		l.reporters[one.Name] = one
	}
	for i := range seen.Edges {
		if one := &seen.Edges[i]; one.Callee == otherCallee {
			l.crowds[one.Caller] = one.LastSeen
		}
	}
	return l
}

// lately says whether something was less than the limit ago; never is not.
func (l *listener) lately(at time.Time) bool { return !at.IsZero() && l.now.Sub(at) < l.limit }

// of judges a declared call that was seen last at a time, if ever.
func (l *listener) of(caller, callee string, last time.Time) silence {
	watched := l.reporters[caller]
	switch {
	case l.lately(last):
		return heard
	case watched.Since.IsZero() && watched.Blind.IsZero():
		return unwatched
	case l.lately(watched.Blind):
		return blind
	case l.lately(l.crowds[caller]):
		return crowded
	case !watched.Since.IsZero() && l.now.Sub(watched.Through) > mesh.WatchGap:
		return lapsed
	case watched.Since.IsZero() || l.lately(watched.Since) || last.IsZero() && l.lately(declaredAt(l.view, caller, callee)):
		return early
	}
	return silent
}

// declaredAt is when a call was declared at the latest; zero: that is not known.
func declaredAt(view *catalog.View, caller, callee string) time.Time {
	var at time.Time
	if gateway, is := strings.CutPrefix(caller, mesh.GatewayCaller("")); is {
		for _, route := range view.RoutesTo(mesh.ServiceName(callee)) {
			if route.ServedBy(mesh.ServiceName(gateway)) && route.Meta.UpdatedAt.After(at) {
				at = route.Meta.UpdatedAt
			}
		}
	} else if service, declared := view.Service(mesh.ServiceName(caller)); declared {
		at = service.Meta.UpdatedAt
	}
	return at
}
