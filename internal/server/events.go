package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const (
	heartbeat    = 15 * time.Second
	writeTimeout = 10 * time.Second // for one batch: a reader that takes longer is dropped, and resumes
	maxStreams   = 1000
)

// Event is one entry of the change stream.
type Event struct {
	Type     string         `json:"type" enum:"change,reset,synced" doc:"change: one object was put or deleted. reset: forget everything, the whole mesh follows as changes. synced: the whole mesh was sent."`
	Revision int64          `json:"revision" doc:"The registry's revision that brought it."`
	Deleted  bool           `json:"deleted,omitempty" doc:"The object was deleted; it is given as it was last, or by its name alone."`
	Service  *Service       `json:"service,omitempty" doc:"Exactly one of the objects is set in a change."`
	Instance *EventInstance `json:"instance,omitempty"`
	Route    *mesh.Route    `json:"route,omitempty"`
	Runtime  *mesh.Runtime  `json:"runtime,omitempty"`
	VM       *mesh.VM       `json:"vm,omitempty"`
}

// EventInstance is an instance that changed.
type EventInstance struct {
	mesh.Instance
	Health mesh.Health `json:"health,omitempty" enum:"healthy,draining,unhealthy,removed" doc:"Default healthy. removed: it was deregistered, and its deletion follows; one that is deleted without it lost its lease."`
}

type eventsInput struct {
	Call
	Since       int64 `query:"since" minimum:"0" doc:"Begin behind this revision; 0 or left out: with the whole mesh."`
	LastEventID int64 `header:"Last-Event-ID" minimum:"0" doc:"What a reader that comes back sends by itself; it wins over since."`
}

func (s *Server) eventOperations() {
	o := operation{
		method: http.MethodGet, path: "/api/v1/events", tag: "status", id: streamOperation, summary: "Follow the changes of the mesh (server-sent events)",
		description: "The id of an event is the revision up to which everything was sent; a reader that comes back sends it as Last-Event-ID. " +
			"If the server no longer has that revision, a reset event comes first, and then the whole mesh. A comment every 15 s shows that the stream lives.",
	}
	register(s, o, s.streamEvents)
	s.documented(o).Responses["200"] = &huma.Response{
		Description: "A stream that goes on until one side ends it. Each data field is an Event.",
		Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema:  &huma.Schema{Type: huma.TypeString},
			Example: "id: 42\nevent: change\ndata: {\"type\":\"change\",\"revision\":42,\"deleted\":true,\"route\":{\"name\":\"shop\"}}\n\n",
		}},
	}
	bodySchema(s.api.OpenAPI().Components.Schemas, Event{})
}

func (s *Server) streamEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	since := in.Since
	if in.LastEventID != 0 {
		since = in.LastEventID
	}
	if since < 0 {
		return nil, fault("query.since", "is negative; a revision is not")
	}
	// Asked before the answer begins, so that an etcd that is away is a 503.
	if err := s.cfg.Registry.Ping(ctx); err != nil {
		return nil, err
	}
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return nil, mesh.Unavailable(nil, "%d change streams are open, which is the most", maxStreams)
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		defer s.streams.Add(-1)
		r, w := humago.Unwrap(answer)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		if r.Method == http.MethodHead { // it would never see that the stream goes on
			return
		}
		s.stream(ctx, w, since, s.authors(r))
	}}, nil
}

// stream writes until one side ends it. One goroutine follows the registry, this
// one writes and waits for it.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, since int64, told insight.Authors) {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan registry.Batch)
	done := make(chan error, 1)
	go func() {
		done <- s.cfg.Registry.Follow(ctx, since, func(b registry.Batch) error {
			select {
			case batches <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	ended := false
	defer func() {
		cancel()
		if !ended {
			<-done //nolint:errcheck // it was told to end
		}
	}()
	out := eventWriter{w: w, control: http.NewResponseController(w), told: told}
	if out.comment("changes follow") != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case err = <-done:
			ended = true
			s.logger.Warn("a change stream broke off; its reader comes back by itself", "error", err)
			return
		case <-beat.C:
			err = out.comment("still here")
		case b := <-batches:
			out.told.View = s.cfg.Catalog.View()
			err = out.batch(b)
		}
		if err != nil {
			return
		}
	}
}

// eventWriter writes server-sent events (WHATWG HTML, section 9.2).
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	told    insight.Authors // whose writes the reader is told of
	buffer  bytes.Buffer
}

func (e *eventWriter) comment(text string) error {
	fmt.Fprintf(&e.buffer, ": %s\n\n", text)
	return e.flush()
}

// batch writes what one revision brought. Only the last event has an id: a
// reader cut off in the middle comes back for the whole of it.
func (e *eventWriter) batch(b registry.Batch) error {
	events := make([]Event, 0, len(b.Changes)+2)
	if b.Reset {
		events = append(events, Event{Type: "reset", Revision: b.Revision})
	}
	for i := range b.Changes {
		events = append(events, eventOf(&b.Changes[i], e.told))
	}
	if b.Reset {
		events = append(events, Event{Type: "synced", Revision: b.Revision})
	}
	for i := range events {
		data, err := json.Marshal(&events[i])
		if err != nil {
			return err
		}
		if i == len(events)-1 {
			fmt.Fprintf(&e.buffer, "id: %d\n", b.Revision)
		}
		fmt.Fprintf(&e.buffer, "event: %s\ndata: %s\n\n", events[i].Type, data)
		if e.buffer.Len() > 256<<10 {
			if err := e.flush(); err != nil {
				return err
			}
		}
	}
	if len(events) == 0 { // nothing of the mesh; the reader still learns how far it is
		e.buffer.WriteString("id: " + strconv.FormatInt(b.Revision, 10) + "\n\n")
	}
	return e.flush()
}

func (e *eventWriter) flush() error {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // a transport without deadlines has its own
	if _, err := e.buffer.WriteTo(e.w); err != nil {
		return err
	}
	return e.control.Flush()
}

// eventOf tells of a change, whose objects others hold too.
func eventOf(c *mesh.Change, told insight.Authors) Event {
	event := Event{Type: "change", Revision: c.Revision, Deleted: c.Deleted}
	if c.Instance != nil {
		instance := *c.Instance
		hideInstance(told, &instance)
		event.Instance = &EventInstance{Instance: instance, Health: c.Instance.Health}
	}
	if c.Service != nil {
		event.Service = &Service{Service: *c.Service}
		hideService(told, event.Service)
	}
	if c.Route != nil {
		route := *c.Route
		hideRoute(told, &route)
		event.Route = &route
	}
	if c.Runtime != nil {
		layer := *c.Runtime
		hideRuntime(told, &layer)
		event.Runtime = &layer
	}
	event.VM = c.VM
	return event
}
