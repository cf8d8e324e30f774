package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// EventType says what an [Event] is.
type EventType string

// The types of event.
const (
	EventChange EventType = "change" // one object was put or deleted
	EventReset  EventType = "reset"  // forget everything: the whole mesh follows, as changes, up to EventSynced
	EventSynced EventType = "synced" // the whole mesh was sent; from here on come changes
)

// Event is one entry of the change stream. Exactly one of the objects is set
// in a change; for a deletion it holds the last known state, at least its name.
type Event struct {
	Type     EventType      `json:"type"`
	Revision int64          `json:"revision"`
	Deleted  bool           `json:"deleted,omitempty"`
	Service  *mesh.Service  `json:"service,omitempty"`
	Instance *mesh.Instance `json:"instance,omitempty"`
	Route    *mesh.Route    `json:"route,omitempty"`
	Runtime  *mesh.Runtime  `json:"runtime,omitempty"`
}

const (
	maxEvent      = 4 << 20 // bytes; an object is at most 1 MiB
	shortestPause = 250 * time.Millisecond
	longestPause  = 5 * time.Second
)

// silence is how long a stream may say nothing, heartbeats included, before it
// is taken for dead; the server sends one every 15 s.
const silence = 45 * time.Second

// Events calls handle for every event behind revision since, in order; since 0
// begins with the whole mesh. It blocks until ctx ends, handle returns an error
// (which it returns), or the server refuses. A stream that breaks is taken up
// again behind the last whole revision, so a change may come twice, but none is
// lost; when the server no longer has that revision, an [EventReset] comes.
func (c *Client) Events(ctx context.Context, since int64, handle func(Event) error) error {
	pause := shortestPause
	connected := false
	for {
		follow := &follower{client: c, last: since, handle: handle}
		err := follow.run(ctx)
		since = follow.last
		connected = connected || follow.connected
		var stop *handlerError
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case !connected, mesh.KindOf(err) != mesh.KindUnavailable:
			return err
		}
		if follow.connected {
			pause = shortestPause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter needs no secrecy
		}
		pause = min(2*pause, longestPause)
	}
}

// Stream is Events by one connection: it also returns when that breaks off, with
// [mesh.KindUnavailable]. It is for who has to know that.
func (c *Client) Stream(ctx context.Context, since int64, handle func(Event) error) error {
	err := (&follower{client: c, last: since, handle: handle}).run(ctx)
	var stop *handlerError
	switch {
	case errors.As(err, &stop):
		return stop.err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

// follower reads one stream.
type follower struct {
	client    *Client
	last      int64 // the last revision that came whole
	connected bool
	handle    func(Event) error
}

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	query := url.Values{}
	if f.last > 0 {
		query.Set("since", strconv.FormatInt(f.last, 10))
	}
	req, err := f.client.newRequest(ctx, request{method: http.MethodGet, segments: api("events"), query: query})
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	watchdog := time.AfterFunc(f.client.timeout, cancel)
	defer watchdog.Stop()
	response, err := f.client.send(req)
	if err != nil {
		return f.broken(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		data, _ := io.ReadAll(io.LimitReader(response.Body, maxEvent))
		return refusal(req, response, data)
	}
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("%s: the answer is %q, not a stream of events: is %s a Heddle server?", describe(req), kind, f.client.base)
	}
	f.connected = true
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	var data bytes.Buffer
	id := ""
	for lines.Scan() {
		watchdog.Reset(silence)
		line := lines.Text()
		if line == "" {
			if err := f.dispatch(data.Bytes(), id); err != nil {
				return err
			}
			data.Reset()
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data.WriteString(value)
		case "id":
			id = value
		}
	}
	if err := lines.Err(); err != nil {
		return f.broken(err)
	}
	return mesh.Unavailable(nil, "the server ended the stream of events")
}

// broken makes any failure of the connection KindUnavailable: a cancelled read
// is the watchdog's doing unless the caller's context ended, which run's caller sees.
func (f *follower) broken(err error) error {
	if mesh.KindOf(err) != "" {
		return err
	}
	return mesh.Unavailable(err, "the stream of events broke off")
}

func (f *follower) dispatch(data []byte, id string) error {
	if len(data) > 0 {
		var event Event
		if err := json.Unmarshal(data, &event); err != nil {
			return fmt.Errorf("an event that is not JSON: %w", err)
		}
		if err := f.handle(event); err != nil {
			return &handlerError{err}
		}
	}
	if revision, err := strconv.ParseInt(id, 10, 64); err == nil && revision > 0 {
		f.last = revision
	}
	return nil
}
