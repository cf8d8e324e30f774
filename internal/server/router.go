package server

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// answerTimeout is for a reader that takes its answer slowly.
const answerTimeout = time.Minute

// ServeHTTP answers one request; whatever goes wrong is answered as a problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &answer{ResponseWriter: w}
	operation := "other"
	defer func(began time.Time) { s.observe(out, r, operation, began) }(time.Now())
	defer s.recovered(out, r)
	// Change streams set their own, batch by batch.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // a transport without deadlines has its own
	s.expectBody(w, r)
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if refused := s.hosts.allow(r); refused != nil {
		writeProblem(out, refused)
		return
	}
	handler, pattern := s.mux.Handler(r)
	switch {
	case path.Clean(r.URL.Path) != r.URL.Path && r.URL.Path != "/docs/" && !strings.HasPrefix(r.URL.Path, uiRoot):
		// The mux would redirect to the cleaned path. No client of ours needs
		// that, and a name with dots or slashes would become another object.
		writeProblem(out, notFound(r, "the path has empty or dotted segments, or ends with a slash"))
	case pattern == "":
		s.unrouted(handler, out, r)
	default:
		operation = cmp.Or(s.operations[pattern], operation)
		s.mux.ServeHTTP(out, r)
	}
}

// unrouted answers 404 and 405, which the mux tells apart, as problems.
func (s *Server) unrouted(refuse http.Handler, w http.ResponseWriter, r *http.Request) {
	said := &statusOnly{header: http.Header{}}
	refuse.ServeHTTP(said, r)
	if said.status != http.StatusMethodNotAllowed {
		writeProblem(w, notFound(r, "there is nothing at this path; /docs lists what there is"))
		return
	}
	allowed := said.header.Get("Allow")
	p := newProblem(http.StatusMethodNotAllowed, fmt.Sprintf("%s is not a method of %s; it has %s", shown(r.Method), shown(r.URL.Path), allowed))
	p.header.Set("Allow", allowed)
	writeProblem(w, p)
}

func notFound(r *http.Request, why string) *refusal {
	return newProblem(http.StatusNotFound, fmt.Sprintf("%s: %s", shown(r.URL.Path), why))
}

// shown makes text from a request fit for a message.
func shown(text string) string {
	return strings.Trim(fmt.Sprintf("%+q", mesh.Cut(text, 100)), `"`)
}

// recovered turns a panic into an answer, if none has begun, and a log entry.
func (s *Server) recovered(w *answer, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint // a sentinel by contract of net/http
		panic(cause)
	}
	s.logger.Error("a request panicked", "method", r.Method, "path", shown(r.URL.Path), "panic", cause, "stack", string(debug.Stack()))
	if w.begun {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
	writeProblem(w, newProblem(http.StatusInternalServerError, "the server failed on this request; its log says why"))
}

// answer remembers whether the answer has begun, and with which status.
type answer struct {
	http.ResponseWriter
	begun  bool
	status int // 0: 200, unless nothing has begun
}

func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.begun, a.status = true, status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(data []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// statusOnly takes in what the mux would have answered.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header            { return s.header }
func (s *statusOnly) WriteHeader(status int)         { s.status = status }
func (s *statusOnly) Write(data []byte) (int, error) { return len(data), nil }
