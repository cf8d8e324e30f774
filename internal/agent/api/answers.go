package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// answers are what the newest snapshot is in JSON, each made when it is asked for first.
type answers struct {
	mu    sync.Mutex
	state *hosts.State      // guarded by mu
	made  map[string][]byte // guarded by mu
}

// of gives an answer; indented as Sidecar does some of its.
func (a *answers) of(state *hosts.State, name string, content func(*hosts.State) any) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == nil || a.state.Version < state.Version {
		a.state, a.made = state, map[string][]byte{}
	}
	if a.state != state { // of an older one, which a slow reader still has
		return encode(name, content(state))
	}
	if body, there := a.made[name]; there {
		return body, nil
	}
	body, err := encode(name, content(state))
	if err == nil {
		a.made[name] = body
	}
	return body, err
}

func encode(name string, content any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	if strings.HasSuffix(name, ".json") {
		encoder.SetIndent("", "  ")
	}
	err := encoder.Encode(content)
	return body.Bytes(), err
}

// answer answers with something of the newest snapshot.
func (s *Server) answer(name string, content func(*hosts.State) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state := s.cfg.State()
		body, err := s.answers.of(state, name, content)
		if err != nil {
			s.cfg.Logger.Error("an answer could not be encoded", "answer", name, "error", err)
			refuse(w, http.StatusInternalServerError, "the agent could not encode its answer; its log says why")
			return
		}
		s.send(w, r, state, body)
	}
}

// send answers with JSON that changes with the snapshot alone.
func (s *Server) send(w http.ResponseWriter, r *http.Request, state *hosts.State, body []byte) {
	header := w.Header()
	tag := fmt.Sprintf("%q", s.tag(state))
	header.Set("ETag", tag)
	header.Set("Cache-Control", "no-cache")
	for one := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that left is no error of ours
}

// tag names a snapshot among those of all runs of all agents.
func (s *Server) tag(state *hosts.State) string {
	return s.epoch + "-" + strconv.FormatUint(state.Version, 10)
}

// refuse answers with an error, as Sidecar does.
func refuse(w http.ResponseWriter, status int, message string) {
	body, err := json.Marshal(map[string]string{"status": "error", "message": message})
	if err != nil { // of two strings
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left is no error of ours
}
