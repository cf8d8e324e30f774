package operator

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Standing watches what the registry says of the operator's token, by its answers: a
// token that is unknown is no reason to end, for its file may hold another soon.
type Standing struct {
	log    *slog.Logger
	denied prometheus.Gauge

	mu      sync.Mutex
	refused string // guarded by mu: the method of the first call that was refused; "": none is
}

// NewStanding makes one, and registers its metric.
func NewStanding(log *slog.Logger, r prometheus.Registerer) *Standing {
	s := &Standing{log: log, denied: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "heddle_operator_token_denied", Help: "1 while the registry does not know the operator's access token: nothing is written, and no pod joins.",
	})}
	r.MustRegister(s.denied)
	return s
}

// Watch wraps the transport of the client that has the token.
func (s *Standing) Watch(next http.RoundTripper) http.RoundTripper { return watched{s, next} }

// Err says that the token is not known; nil: it is, or nobody has asked yet.
func (s *Standing) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == "" {
		return nil
	}
	return errors.New("the registry does not know the operator's access token: its file is read again at each try; make another with heddle token create --keeper kubernetes/CLUSTER")
}

// saw takes up one answer. Reads may need no token at all: that one is answered says
// nothing of a token that was refused for a write.
func (s *Standing) saw(method string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case status == http.StatusUnauthorized && s.refused == "":
		s.refused = method
		s.denied.Set(1)
		s.log.Error("the registry does not know the operator's access token: nothing is lost, all is tried again with what its file holds by then; make another with heddle token create --keeper kubernetes/CLUSTER")
	case status == http.StatusUnauthorized && method != http.MethodGet:
		s.refused = method
	case s.refused != "" && status < http.StatusInternalServerError && status != http.StatusUnauthorized && (method != http.MethodGet || s.refused == http.MethodGet):
		s.refused = ""
		s.denied.Set(0)
		s.log.Info("the registry knows the operator's access token again")
	}
}

// watched is a transport whose answers are watched.
type watched struct {
	standing *Standing
	next     http.RoundTripper
}

// RoundTrip makes one call.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err == nil {
		w.standing.saw(r.Method, answer.StatusCode)
	}
	return answer, err
}

// CloseIdleConnections is called by http.Client's method of the same name.
func (w watched) CloseIdleConnections() {
	if closer, is := w.next.(interface{ CloseIdleConnections() }); is {
		closer.CloseIdleConnections()
	}
}
