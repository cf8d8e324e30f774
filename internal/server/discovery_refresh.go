package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// refreshGap is how often a server lets a source be asked for: clouds have limits.
const refreshGap = 10 * time.Second

// refreshes remembers when sources were asked for by this server.
type refreshes struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu; of sources that there are
}

// turn takes the next turn of a source, or says for how long it has to be waited for.
func (r *refreshes) turn(source string, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := refreshGap - now.Sub(r.last[source]); wait > 0 {
		return wait
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[source] = now
	return 0
}

func (s *Server) refreshOperation() {
	register(s, operation{
		method: http.MethodPost, path: "/api/v1/discovery/{source}/refresh", tag: "machines", id: "refreshSource", summary: "Have a source of virtual machines refreshed now",
		description: "It is asked for, and done by the server that refreshes the source, as soon as the source lets it: GET /api/discovery has done it once the source's answered is at least asked of this answer. For admins. 429 with Retry-After less than 10 seconds after this server was asked the last time, and while the source wants to be left alone.",
		status:      http.StatusAccepted, token: true, refusals: []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
	}, s.refreshSource)
}

type askedAnswer struct {
	Body mesh.DiscoveryAsked
}

func (s *Server) refreshSource(ctx context.Context, in *struct {
	Call
	SourcePath
}) (*askedAnswer, error) {
	in.object = "source/" + shown(in.Source)
	write, err := s.sourceWrite(ctx, &in.Call, in.SourcePath)
	if err != nil {
		return nil, err
	}
	if !write.By.Admin() {
		return nil, mesh.Denied("refresh source %q: only an admin may, for it counts against the limits of its cloud", in.Source)
	}
	if err := s.mayRefresh(in.Source, time.Now()); err != nil {
		return nil, err
	}
	asked, err := s.cfg.Registry.WakeSource(ctx, in.Source)
	return &askedAnswer{Body: mesh.DiscoveryAsked{Source: in.Source, Asked: asked}}, err
}

// mayRefresh says why a source cannot be refreshed now.
func (s *Server) mayRefresh(name string, now time.Time) error {
	view := s.cfg.Catalog.View()
	if !view.Synced() {
		return mesh.Unavailable(nil, "the mesh has not been read from etcd yet")
	}
	tried, roster := fmt.Sprintf("refresh source %q", name), view.Roster()
	var source *mesh.DiscoverySource
	names := slices.Clone(roster.Sources)
	for _, one := range view.Sources() {
		if one.Name == name {
			source = one
		}
		names = append(names, one.Name)
	}
	if !slices.Contains(roster.Sources, name) {
		if source != nil {
			return mesh.Conflict("%s: no server refreshes it now: start a server that has it in its settings (heddle server --discovery)", tried)
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) == 0 {
			return mesh.NotFound("%s: there is no such source; no server has sources (heddle server --discovery)", tried)
		}
		return mesh.NotFound("%s: there is no such source; there are: %s", tried, strings.Join(names, ", "))
	}
	if until := leftAlone(source); until.After(now) {
		return tooSoon(until.Sub(now), "%s: it wants to be left alone until %s (Retry-After), and is asked then", tried, until.UTC().Format(time.RFC3339))
	}
	if wait := s.refreshes.turn(name, now); wait > 0 {
		return tooSoon(wait, "%s: this server was asked for it less than %s ago; ask again in %s", tried, refreshGap, wait.Round(time.Second))
	}
	return nil
}

// leftAlone is until when all of a source wants to be left alone; zero: it does not.
func leftAlone(source *mesh.DiscoverySource) time.Time {
	if source == nil || len(source.Scopes) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(source.Scopes, func(a, b mesh.DiscoveryScope) int { return a.NotBefore.Compare(b.NotBefore) }).NotBefore
}

func tooSoon(wait time.Duration, format string, args ...any) error {
	p := newProblem(http.StatusTooManyRequests, fmt.Sprintf(format, args...))
	p.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return p
}
