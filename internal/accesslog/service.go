package accesslog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of what reporters may cost. An Envoy has a stream for each of its
// workers and logs.
const (
	maxStreams      = 100_000
	maxOpening      = 10_000 // of which no report has come yet, and that may be anybody's
	maxStreamsOfOne = 5000
	entriesASecond  = 20_000 // of one reporter; beyond it its streams are read later, and Envoy drops
	allASecond      = 5 * entriesASecond
	maxEntries      = 20_000 // of one message; Envoy's have some hundred
	maxRoom         = 500    // entries that a stream has room for between two messages
	introduction    = 30 * time.Second
)

// Reporter finds who reports, as is proven: a service, or gateway/NAME; sure says that
// it is no name that a stranger may have made up. Errors are gRPC statuses.
type Reporter func(ctx context.Context, node *corev3.Node) (name string, sure bool, err error)

// Service is Envoy's access log service. Make it with [NewService].
type Service struct {
	alsv3.UnimplementedAccessLogServiceServer

	table    *Table
	reporter Reporter
	logger   *slog.Logger
	metrics  metrics
	streams  atomic.Int64 // introduced; written with mu held
	opening  atomic.Int64
	lostAt   atomic.Int64  // the second of loseAny's last
	limit    *rate.Limiter // of all reporters

	mu  sync.Mutex
	of  map[string]int // guarded by mu: streams by reporter
	end chan struct{}
	one sync.Once
}

// NewService makes one that counts into a table.
func NewService(table *Table, reporter Reporter, registerer prometheus.Registerer, logger *slog.Logger) *Service {
	s := &Service{table: table, reporter: reporter, logger: logger, limit: rate.NewLimiter(allASecond, maxEntries), of: map[string]int{}, end: make(chan struct{})}
	s.metrics = newMetrics(registerer, table, &s.streams)
	return s
}

// Register adds the service to a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) { alsv3.RegisterAccessLogServiceServer(r, s) }

// Stop ends the streams. Envoys open others, here or at another server.
func (s *Service) Stop() { s.one.Do(func() { close(s.end) }) }

var errStopping = status.Error(codes.Unavailable, "the control plane is stopping; report to another one")

// StreamAccessLogs takes the reports of one Envoy's worker.
func (s *Service) StreamAccessLogs(g alsv3.AccessLogService_StreamAccessLogsServer) error {
	if s.opening.Add(1) > maxOpening {
		s.opening.Add(-1)
		s.loseAny()
		s.metrics.refused.Inc()
		return status.Error(codes.ResourceExhausted, "too many proxies report to this control plane")
	}
	// The receiver cannot be interrupted: it ends when gRPC ends the stream, right
	// after this handler has returned.
	ended, introduced := make(chan error, 1), make(chan struct{})
	go func() { ended <- s.receive(g, introduced) }()
	timeout := time.NewTimer(introduction)
	defer timeout.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-s.end:
			return errStopping
		case <-introduced:
			introduced = nil
			timeout.Stop()
		case <-timeout.C:
			return status.Errorf(codes.DeadlineExceeded, "no report within %s of opening the stream", introduction)
		}
	}
}

// receive counts until the stream ends.
func (s *Service) receive(g alsv3.AccessLogService_StreamAccessLogsServer, introduced chan<- struct{}) error {
	m := &message{}
	err := m.from(g)
	s.opening.Add(-1)
	if err != nil {
		return ended(err)
	}
	close(introduced)
	log := m.GetIdentifier().GetLogName()
	switch log {
	case mesh.CallsReport, mesh.RefusalsReport, mesh.StrangersReport:
	default:
		s.metrics.refused.Inc()
		return status.Errorf(codes.InvalidArgument, "the log is called %.40q: this control plane takes those that its own configuration has proxies write", log)
	}
	name, sure, err := s.reporter(g.Context(), m.GetIdentifier().GetNode())
	if err != nil {
		s.metrics.refused.Inc()
		return err
	}
	r, err := s.admit(name, sure)
	if err != nil {
		s.metrics.refused.Inc()
		return err
	}
	defer s.leave(name)
	defer s.table.close(r)
	var calls []seen // reused
	for {
		n := len(m.reports)
		calls = s.count(r, log, m, calls)
		if err := s.wait(g.Context(), r, n); err != nil {
			return status.FromContextError(g.Context().Err()).Err()
		}
		if err := m.from(g); err != nil {
			return ended(err)
		}
	}
}

// wait waits until a reporter, and all of them together, may tell of more.
func (s *Service) wait(ctx context.Context, r *reporter, entries int) error {
	if err := r.limit.WaitN(ctx, entries); err != nil {
		return err
	}
	return s.limit.WaitN(ctx, entries)
}

// count counts the entries of a message, and gives the room that it used back.
func (s *Service) count(r *reporter, log string, m *message, calls []seen) []seen {
	calls = calls[:0]
	for i := range m.reports {
		if one, is := read(log, r.gateway, &m.reports[i]); is {
			if one.in && !s.table.isCaller(one.name) {
				one.name = Other
			}
			calls = append(calls, one)
		}
	}
	s.metrics.entries.Add(float64(m.all))
	s.metrics.ignored.Add(float64(m.all - len(calls)))
	s.table.add(r, calls)
	clear(m.reports) // what their texts take is not kept for as long as the stream lives
	if m.reports = m.reports[:0]; cap(m.reports) > maxRoom {
		m.reports = nil
	}
	if clear(calls); cap(calls) > maxRoom {
		return nil
	}
	return calls
}

// admit finds room for a stream of a reporter.
func (s *Service) admit(name string, sure bool) (*reporter, error) {
	if s.enter(name) {
		if r := s.table.open(name, sure); r != nil {
			return r, nil
		}
		s.leave(name)
	} else {
		s.table.note(name, (*reporter).loses)
	}
	return nil, status.Errorf(codes.ResourceExhausted, "too many proxies of %s report to this control plane", name)
}

// loseAny notes, once a second at most, that reports were refused of which nobody knows
// whose they were.
func (s *Service) loseAny() {
	if at := s.table.now().Unix(); s.lostAt.Swap(at) != at {
		s.table.loseAll()
	}
}

func (s *Service) enter(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[name] >= maxStreamsOfOne || s.streams.Load() >= maxStreams {
		return false
	}
	s.streams.Add(1)
	s.of[name]++
	return true
}

func (s *Service) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams.Add(-1)
	if s.of[name]--; s.of[name] == 0 {
		delete(s.of, name)
	}
}

// ended is how a stream ends that its client ended.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
