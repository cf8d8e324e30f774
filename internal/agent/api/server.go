package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Config is what a server answers from.
type Config struct {
	State func() *hosts.State
	Watch func() Watch
	// Drain has the copies with an ID on this host get no new requests, or get them again.
	Drain   func(id string, drain bool) ([]hosts.Service, error)
	Ready   func() bool   // whether the host is reached and served
	Tokens  func() []byte // the file of those who may write, as it is now; nil: nobody may
	Page    http.Handler  // at /ui/, for people
	Metrics http.Handler  // at /metrics; nil: none
	// Hosts are names by which the server may be called, besides localhost and addresses.
	Hosts []string
	// Origins are those whose pages may read; "*": all.
	Origins     []string
	Version     string // of this program
	MaxWatchers int    // default 200
	Logger      *slog.Logger
}

// Watch gives the newest snapshot each time that there is one which was not seen.
type Watch interface {
	Wait(ctx context.Context) (*hosts.State, error)
	Close()
}

// Server answers. Make it with [New].
type Server struct {
	cfg      Config
	epoch    string // tells this run's versions from another's
	answers  answers
	watchers atomic.Int64
}

// New puts a server together, and starts nothing.
func New(cfg Config) *Server {
	cfg.MaxWatchers = cmp.Or(cfg.MaxWatchers, 200)
	epoch := make([]byte, 6)
	_, _ = rand.Read(epoch) // it never fails
	return &Server{cfg: cfg, epoch: hex.EncodeToString(epoch)}
}

// Bounds of what clients may take; streams set the time of each write themselves.
const (
	headerTimeout = 5 * time.Second
	requestTime   = 30 * time.Second
	idleTime      = time.Minute
	maxHeader     = 16 << 10
	maxBody       = 4 << 10
	partingTime   = 2 * time.Second
)

// Run answers on a listener, which it closes, until ctx ends. It is called once.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, BaseContext: func(net.Listener) context.Context { return ctx }, // streams end with it
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	if server.Shutdown(parting) != nil { // who is not done by then is cut off
		_ = server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler gives what Run answers with.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	s.sidecarRoutes(mux)
	mux.HandleFunc("GET /api/v1/fleet", s.answer("fleet", func(state *hosts.State) any { return s.fleet(state) }))
	mux.HandleFunc("GET /api/v1/members", s.answer("members", func(state *hosts.State) any { return s.fleet(state).Members }))
	mux.HandleFunc("GET /api/v1/services", s.answer("services", func(state *hosts.State) any { return s.fleet(state).Services() }))
	mux.HandleFunc("GET /api/v1/problems", s.answer("problems", func(state *hosts.State) any { return s.fleet(state).Problems }))
	mux.HandleFunc("GET /api/v1/watch", s.watchEvents)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.cfg.Ready() {
			say(w, http.StatusServiceUnavailable, "not ready: the other hosts cannot reach this one yet, or its proxy does not serve")
			return
		}
		say(w, http.StatusOK, "ok")
	})
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	if s.cfg.Page != nil {
		mux.Handle("GET /ui/", s.cfg.Page)
		for _, path := range []string{"/{$}", "/ui", "/servers"} { // the last is Sidecar's
			mux.Handle("GET "+path, http.RedirectHandler("/ui/", http.StatusFound))
		}
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is nothing at "+r.URL.Path+": what there is is below /api/ and /ui/")
	})
	return s.guard(mux)
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a client that left is no error of ours
}
