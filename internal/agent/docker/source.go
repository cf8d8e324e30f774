package docker

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/heddle-mesh/heddle/internal/agent/authority"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Source asks one engine. Its zero durations have defaults.
type Source struct {
	Endpoint Endpoint
	Rules    Rules
	// Interval is how often all is listed when no event says so. Default 10 s.
	Interval time.Duration
	// Patience is how long an engine may be away until what it alone speaks for is in
	// doubt. Default 1 min.
	Patience time.Duration
	// Timeout bounds each request. Default 5 s.
	Timeout time.Duration
	Logger  *slog.Logger
}

const (
	// gap is between listings while events come without an end.
	gap = 50 * time.Millisecond
	// settle is how long after an event a listing may say what was before it: the engine
	// tells of an end before it notes it.
	settle = time.Second
	// lingerLimit is how long a container may go on after its stop signal until it is
	// taken for one that does not heed it.
	lingerLimit = 5 * time.Minute
)

// errEnded is how a stream of events ends in order.
var errEnded = errors.New("the engine ended its stream of events")

// Name implements agent.Source.
func (*Source) Name() string { return "docker" }

func (s *Source) timeout() time.Duration { return cmp.Or(s.Timeout, 5*time.Second) }

// view is what is known; it is Run's.
type view struct {
	*Source
	authority authority.Authority
	stopping  map[string]signaled
	ended     map[string]time.Time // when it was heard that they had
	faults    map[string][]string  // told of, by container
}

// signaled is when a container was sent its stop signal: by the engine's clock, to compare
// with what the engine says of other times, and when that was heard, by this host's.
type signaled struct{ sent, heard time.Time }

// Run implements agent.Source. An engine that is away changes nothing at first: its
// containers may well live on. What only it speaks for is said to be in doubt after a while.
func (s *Source) Run(ctx context.Context, found func([]hosts.Service)) error {
	if err := s.Endpoint.Check(); err != nil {
		return err
	}
	v := &view{Source: s, stopping: map[string]signaled{}, ended: map[string]time.Time{}, faults: map[string][]string{}}
	v.authority = authority.Authority{
		Name: "the container engine", Patience: cmp.Or(s.Patience, time.Minute), Found: found, Logger: s.Logger.With("engine", s.Endpoint.Host),
	}
	v.authority.Follow(ctx, v.follow)
	return nil
}

// follow is one connection to the engine, until it fails.
func (v *view) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	engine, err := v.Endpoint.connect()
	if err != nil {
		return err
	}
	defer engine.Close()
	stream, err := subscribe(ctx, engine, v.timeout())
	if err != nil {
		return err
	}
	v.recheck(ctx, engine)
	if err := v.look(ctx, engine); err != nil {
		return err
	}
	tick := time.NewTicker(cmp.Or(v.Interval, 10*time.Second))
	defer tick.Stop()
	var due, settled <-chan time.Time // nil: nothing has happened since the last listing
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-stream.Messages:
			if v.heard(ctx, engine, event); due == nil {
				due = time.After(max(0, gap-time.Since(last)))
			}
			settled = time.After(settle)
			continue
		case err := <-stream.Err:
			if err == nil || errors.Is(err, io.EOF) {
				err = errEnded
			}
			return err
		case <-due:
		case <-settled:
			settled = nil
		case <-tick.C:
		}
		due = nil
		if err := v.look(ctx, engine); err != nil {
			return err
		}
		last = time.Now()
	}
}

// heard takes what an event alone tells.
func (v *view) heard(ctx context.Context, engine *client.Client, event events.Message) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout())
	defer cancel()
	switch event.Action {
	case events.ActionStart:
		delete(v.stopping, event.Actor.ID)
		delete(v.ended, event.Actor.ID)
	case events.ActionDie, events.ActionDestroy:
		delete(v.stopping, event.Actor.ID)
		v.ended[event.Actor.ID] = time.Now()
	default:
		if stopping(ctx, engine, event) {
			v.stopping[event.Actor.ID] = signaled{time.Unix(0, event.TimeNano), time.Now()}
		}
	}
}

// recheck forgets the stop signals of containers that were started again while nothing
// was heard.
func (v *view) recheck(ctx context.Context, engine *client.Client) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout())
	defer cancel()
	for id, when := range v.stopping {
		if startedSince(ctx, engine, id, when.sent) {
			delete(v.stopping, id)
		}
	}
}

// look lists what runs, and says it.
func (v *view) look(ctx context.Context, engine *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, v.timeout())
	defer cancel()
	all, err := list(ctx, engine)
	if err != nil {
		return err
	}
	services := make([]hosts.Service, 0, len(all))
	faults := map[string][]string{}
	maps.DeleteFunc(v.ended, func(_ string, when time.Time) bool { return time.Since(when) >= settle })
	for _, c := range all {
		if _, ended := v.ended[c.ID]; ended {
			continue
		}
		one, is, wrong := v.Rules.service(c)
		if len(wrong) > 0 {
			faults[c.ID] = v.tell(c, wrong)
		}
		if !is {
			continue
		}
		if v.ends(c) {
			one.Health = hosts.Draining
		}
		services = append(services, one)
	}
	v.faults = faults
	v.authority.Says(services)
	return nil
}

// ends says whether a container was sent its stop signal, and may be about to end.
func (v *view) ends(c container.Summary) bool {
	when, is := v.stopping[c.ID]
	if !is {
		return false
	}
	if time.Since(when.heard) > lingerLimit {
		delete(v.stopping, c.ID)
		v.Logger.Warn("a container was sent its stop signal and goes on: it gets requests again", "container", nameOf(c))
		return false
	}
	return true
}

// tell logs what of a container's labels is of no use, once as long as it is there.
func (v *view) tell(c container.Summary, faults []string) []string {
	const most, length = 16, 400 // of what anybody may write
	faults = faults[:min(len(faults), most)]
	for _, fault := range faults {
		if !slices.Contains(v.faults[c.ID], fault) {
			v.Logger.Warn("a container cannot be as its labels or its ports say", "container", nameOf(c), "problem", cut(fault, length))
		}
	}
	return faults
}

func nameOf(c container.Summary) string {
	id := c.ID[:min(len(c.ID), shortID)]
	if len(c.Names) == 0 {
		return id
	}
	return strings.TrimPrefix(c.Names[0], "/") + " (" + id + ")"
}
