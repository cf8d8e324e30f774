package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/hosts/sidecar"
)

const (
	postTime   = 5 * time.Second // for one post
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
	// maxRefusals is how often a listener may refuse one event before the next is told.
	maxRefusals = 6
	// burst is how many events are told one by one; of more, one for each service.
	burst = 64
)

// listener is one URL that is told. It is of its goroutine alone.
type listener struct {
	url     string
	cfg     Config
	client  *http.Client
	session string // the same for all posts, for balancers that keep a client at one backend

	told    *hosts.State  // up to which pending is made
	pending []hosts.Event // of each copy one at most, the first to be told first
	last    time.Time     // State.LastChanged as it was told last
}

func newListener(url string, cfg Config) *listener {
	return &listener{
		url: url, cfg: cfg, session: fmt.Sprintf("%s-%d", cfg.State().Self, time.Now().UnixNano()),
		client: &http.Client{
			Timeout:   postTime,
			Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: postTime}, // and no proxy
			// To wherever a listener sends posts, the fleet is not told.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// run tells the listener what changes until ctx ends.
func (l *listener) run(ctx context.Context) {
	defer l.client.CloseIdleConnections()
	watch := l.cfg.Watch()
	defer watch.Close()
	failures, refusals := 0, 0
	for ctx.Err() == nil {
		if len(l.pending) == 0 {
			if _, err := watch.Wait(ctx); err != nil {
				return
			}
		}
		l.learn(l.cfg.State())
		if len(l.pending) == 0 {
			continue
		}
		err := l.post(ctx, l.pending[0])
		if err == nil {
			if failures > 0 {
				l.cfg.Logger.Info("a listener takes events again", "url", l.url)
			}
			failures, refusals, l.pending = 0, 0, l.pending[1:]
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if failures++; failures == 1 {
			l.cfg.Logger.Warn("a listener does not take an event; it is told again, with what changes until then", "url", l.url, "error", err)
		}
		var refused *refusedError
		if errors.As(err, &refused) {
			refusals++
		}
		if refusals == maxRefusals { // it may be this event that it cannot read
			l.cfg.Logger.Warn("a listener refuses an event, and is told the next", "url", l.url, "service", l.pending[0].Service.Name, "error", err)
			refusals, l.pending = 0, l.pending[1:]
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff(failures)):
		}
	}
}

// backoff grows with failures in a row; a random part keeps listeners apart.
func backoff(failures int) time.Duration {
	d := min(firstRetry<<min(failures-1, 10), lastRetry)
	return d/2 + rand.N(d/2+1) //nolint:gosec // nothing secret
}

// learn adds what has changed since the listener was told last.
func (l *listener) learn(now *hosts.State) {
	if l.told != nil && l.told.Version == now.Version {
		return
	}
	first := l.told == nil
	l.pending = merge(l.pending, hosts.Events(l.told, now))
	l.told = now
	if first || len(l.pending) > burst {
		l.pending = oneEach(l.pending)
	}
}

// merge puts news behind what is pending, or in its place when it is of the same copy.
func merge(pending, news []hosts.Event) []hosts.Event {
	type key struct{ host, id, source string }
	at := map[key]int{}
	for i, e := range pending {
		at[key{e.Host, e.Service.ID, e.Service.Source}] = i
	}
	for _, e := range news {
		if i, there := at[key{e.Host, e.Service.ID, e.Service.Source}]; there {
			e.Previous = pending[i].Previous
			pending[i] = e
			continue
		}
		pending = append(pending, e)
	}
	return pending
}

// oneEach keeps one event for each service. Each comes with the whole fleet; receivers
// look at the event itself only for whether it is of a service that they want, and
// whether it is worth their while, so one that is stays.
func oneEach(pending []hosts.Event) []hosts.Event {
	at := map[string]int{}
	var kept []hosts.Event
	for _, e := range pending {
		i, there := at[e.Service.Name]
		if !there {
			at[e.Service.Name] = len(kept)
			kept = append(kept, e)
		} else if !matters(kept[i]) && matters(e) {
			kept[i] = e
		}
	}
	return slices.Clip(kept)
}

// matters says whether a receiver of Sidecar's does something for an event
// (its receiver/receiver.go, ShouldNotify).
func matters(e hosts.Event) bool {
	switch e.Service.Health {
	case hosts.Unhealthy, hosts.Unknown:
		return e.Gone || e.Previous == hosts.Healthy
	}
	return true
}

// refusedError is an answer that is no success.
type refusedError struct{ status string }

func (e *refusedError) Error() string { return "it answers " + e.status }

// post tells one event, with the fleet as it is now.
func (l *listener) post(ctx context.Context, event hosts.Event) error {
	// A receiver takes no event whose time is not after that of the one before.
	// It reads the time of the clock on the wall, so that is what counts here, too: a
	// monotonic reading goes on where that clock was set back.
	l.last = maxTime(l.told.Changed.Round(0), l.last.Add(time.Microsecond))
	body, err := json.Marshal(sidecar.EventOf(event, l.told, l.last))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.AddCookie(&http.Cookie{Name: "sidecar-session-host", Value: l.session})
	answer, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10) // so that the connection is used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return &refusedError{answer.Status}
	}
	return nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
