package xds

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ScopeOpener decides what a proxy may see.
type ScopeOpener interface {
	// Open is called once for each stream, with the node of its first request.
	// It returns when the scope's resources have been given to [Server.Apply];
	// closed is called when the stream has ended. An error carries the gRPC
	// status that the stream ends with.
	Open(ctx context.Context, node *corev3.Node) (scope string, closed func(), err error)
}

// Config is what a [Server] needs. Scopes must be given; zero values of the
// rest work.
type Config struct {
	Logger     *slog.Logger // nil: nothing is logged
	Scopes     ScopeOpener
	Registerer prometheus.Registerer // nil: the metrics are kept to itself

	// Patience bounds how long anything is held back for the sake of an order:
	// routes for clusters that are not acknowledged, removals for routes that
	// are not. Default 2 s.
	Patience time.Duration

	// CanaryWait bounds how long a changed cluster, listener or route is shown to
	// one proxy alone of all whose scopes hold it: the others are sent it when that
	// one accepted it. 0: all are sent it at once.
	CanaryWait time.Duration

	Limits     Limits // of one stream
	MaxStreams int    // of the server; 0: no limit
	// Opening is how many streams may be opening at a time; default 64.
	Opening int

	// Answered is told how a proxy answered a response that an update with traces
	// caused. It must not block. nil: nobody is.
	Answered func(Answer)

	Clock func() time.Time // nil: time.Now
}

// Answer is a proxy's answer to what an update caused.
type Answer struct {
	Traces  []string // of the update
	Node    string
	Type    string // its short name, such as "cds"
	Refused bool
	Applied time.Time // when the update was put in force
	At      time.Time
}

const defaultPatience = 2 * time.Second

// Server serves resources to proxies. See the package's description.
type Server struct {
	logger  *slog.Logger
	scopes  ScopeOpener
	metrics *metrics
	table   *table
	config  Config
	now     func() time.Time
	lists   nameLists
	journal journal
	opening chan struct{} // one for each stream that is opening

	closing context.Context // done: the server closes
	close   context.CancelFunc
	work    sync.WaitGroup // streams and their receivers

	mu      sync.Mutex // guards the fields below
	streams map[uint64]*stream
	nodes   map[string]map[uint64]*stream // those whose scopes are open, by node
	owed    map[string]map[name]uint64    // by node: the endpoints that it is owed from its last stream
	lastID  uint64
	closed  bool // no stream may be admitted any more
	// warnedFull is when it was last said that there are too many streams.
	warnedFull time.Time
}

// NewServer makes a server that has no resources yet. It starts nothing.
func NewServer(c Config) *Server {
	s := &Server{logger: c.Logger, scopes: c.Scopes, config: c, now: c.Clock, lists: newNameLists(), streams: map[uint64]*stream{}, nodes: map[string]map[uint64]*stream{}, owed: map[string]map[name]uint64{}}
	s.closing, s.close = context.WithCancel(context.Background())
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.config.Patience <= 0 {
		s.config.Patience = defaultPatience
	}
	s.table = newTable(c.CanaryWait, s.now)
	if s.config.Opening <= 0 {
		s.config.Opening = defaultOpening
	}
	s.opening = make(chan struct{}, s.config.Opening)
	s.metrics = newMetrics(c.Registerer, s.table)
	if c.Registerer != nil {
		c.Registerer.MustRegister(proxies{s})
	}
	return s
}

// Apply does an update: streams see all of it or nothing. It returns when the
// update is in force; sending goes on behind it. Faulty resources and keys are
// passed over and logged.
func (s *Server) Apply(u Update) {
	start := s.now()
	s.journal.note(noted{at: start, written: u.Written, traces: u.Traces})
	faulty, woken := s.table.apply(u, start)
	s.metrics.apply.Observe(s.now().Sub(start).Seconds())
	s.metrics.woken.Add(float64(woken))
	if faulty > 0 {
		s.logger.Error("update has resources or keys that cannot be served; they are left out", "revision", u.Revision, "count", faulty)
	}
	s.logger.Debug("update applied", "revision", u.Revision, "put", len(u.Put), "scopes", len(u.Scopes), "streams", woken)
}

// Shutdown ends all streams with Unavailable, so that proxies go to another
// replica, and refuses new ones. Many streams end over up to three seconds. It
// returns when the last has ended or ctx is done: a stream whose client does not
// read ends only when the gRPC server is stopped.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.close()
	done := make(chan struct{})
	go func() { // ends with the last stream
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// admit counts a stream in, or says why not.
func (s *Server) admit(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosing()
	}
	if limit := s.config.MaxStreams; limit > 0 && len(s.streams) >= limit {
		return s.full(limit)
	}
	s.lastID++
	st.id = s.lastID
	s.streams[st.id] = st
	s.work.Add(1)
	s.metrics.streams.WithLabelValues(string(st.transport)).Inc()
	return nil
}

func (s *Server) dismiss(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st.id)
	s.delist(st)
	s.metrics.streams.WithLabelValues(string(st.transport)).Dec()
	s.work.Done()
}

func errClosing() error {
	return status.Error(codes.Unavailable, "this server is shutting down; connect to another replica or try again")
}
