package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/hosts/sidecar"
)

const (
	heartbeat = 15 * time.Second
	writeTime = 10 * time.Second       // for one snapshot: a reader that takes longer is cut off
	pace      = 100 * time.Millisecond // between two snapshots to one reader
)

// watchEvents streams snapshots as server-sent events (WHATWG HTML, section 9.2); with
// brief=true only which one it is, for those who then ask for what they need.
func (s *Server) watchEvents(w http.ResponseWriter, r *http.Request) {
	seen := r.Header.Get("Last-Event-ID")
	s.stream(w, r, "text/event-stream", ": still here\n\n", func(state *hosts.State) ([]byte, error) {
		tag := s.tag(state)
		if tag == seen { // a reader that comes back has it
			return []byte(": nothing new\n\n"), nil
		}
		if r.URL.Query().Get("brief") == "true" {
			return fmt.Appendf(nil, "id: %s\nevent: fleet\ndata: {\"version\":%d}\n\n", tag, state.Version), nil
		}
		body, err := s.answers.of(state, "fleet", func(state *hosts.State) any { return s.fleet(state) })
		if err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, "id: %s\nevent: fleet\ndata: %s\n\n", tag, bytes.TrimSpace(body)), nil
	})
}

// watchDocuments streams snapshots as Sidecar does: JSON documents, one after another, by
// service, or by host with by_service=false.
func (s *Server) watchDocuments(w http.ResponseWriter, r *http.Request) {
	name, content := "by-service", func(state *hosts.State) any { return sidecar.ByService(state) }
	if r.URL.Query().Get("by_service") == "false" {
		name, content = "state", func(state *hosts.State) any { return sidecar.StateOf(state) }
	}
	s.stream(w, r, "application/json", "\n", func(state *hosts.State) ([]byte, error) {
		return s.answers.of(state, name, content)
	})
}

// stream writes the newest snapshot whenever there is one, until one side ends it. beat
// shows in between that the stream lives.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, contentType, beat string, encoded func(*hosts.State) ([]byte, error)) {
	if r.Method == http.MethodHead { // it would never see that the stream goes on
		w.Header().Set("Content-Type", contentType)
		return
	}
	if s.watchers.Add(1) > int64(s.cfg.MaxWatchers) {
		s.watchers.Add(-1)
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d clients watch already, which is the most", s.cfg.MaxWatchers))
		return
	}
	defer s.watchers.Add(-1)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that the request was read says nothing of how long it is answered
	watch := s.cfg.Watch()
	defer watch.Close()
	for {
		body := []byte(beat)
		state, err := next(r.Context(), watch)
		switch {
		case err != nil:
			return
		case state != nil:
			if body, err = encoded(state); err != nil {
				s.cfg.Logger.Error("a snapshot could not be encoded", "error", err)
				return
			}
		}
		_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // a transport without deadlines has its own
		if _, err := w.Write(body); err != nil {
			return
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pace):
		}
	}
}

// next waits for a snapshot; nil when it is time to show that the stream lives.
func next(ctx context.Context, watch Watch) (*hosts.State, error) {
	waiting, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	state, err := watch.Wait(waiting)
	if err != nil && ctx.Err() == nil {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return state, err
}
