package authz

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxName is the longest that a service's name can be, in bytes.
const maxName = 63

// ServiceConfig says what a [Service] answers from.
type ServiceConfig struct {
	Issuer      *Issuer
	Edges       Edges
	Visitors    Visitors // who is behind requests at the edge; nil: nobody can be
	TrustDomain string
	// InsecurePlainCallers believes what a request says about its caller when
	// its connection has no certificate. For development.
	InsecurePlainCallers bool
	Registerer           prometheus.Registerer // default: none
	Logger               *slog.Logger          // default: discard
}

// Service is Envoy's ext_authz (envoy.service.auth.v3.Authorization). What it
// cannot answer it answers with Unavailable, which Envoy has to be told to take
// for a refusal (failure_mode_allow: false, which is its default).
type Service struct {
	cfg     ServiceConfig
	metrics serviceMetrics
	logged  *otter.Cache[refusedPair, struct{}] // refusals that were logged lately
}

// refusedPair is what refusals are logged by.
type refusedPair struct {
	caller string
	callee mesh.ServiceName
	reason Reason
}

// NewService makes a service.
func NewService(cfg ServiceConfig) (*Service, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	logged, err := otter.New(&otter.Options[refusedPair, struct{}]{
		MaximumSize:      10_000,
		ExpiryCalculator: otter.ExpiryCreating[refusedPair, struct{}](time.Minute),
	})
	return &Service{cfg: cfg, metrics: newServiceMetrics(cfg.Registerer), logged: logged}, err
}

// Close ends what the service keeps.
func (s *Service) Close() { s.logged.StopAllGoroutines() }

// Register adds the service to a server that was made with [ServerOptions].
func (s *Service) Register(server *grpc.Server) { server.RegisterService(description(), s) }

// timed is check, measured.
func (s *Service) timed(ctx context.Context, request *check) (*response, error) {
	began := time.Now()
	defer func() { s.metrics.took.Observe(time.Since(began).Seconds()) }()
	return s.check(ctx, request)
}

// check answers one request.
func (s *Service) check(ctx context.Context, request *check) (*response, error) {
	if len(request.callee) > maxName { // of no service; it is shown, so not all of it
		request.callee = mesh.Cut(request.callee, maxName)
	}
	caller, err := s.caller(ctx, request)
	if err != nil {
		return s.refuse(ctx, refusal(NoIdentity, caller, mesh.ServiceName(request.callee), err.Error()), caller, mesh.Deny), nil
	}
	callee := mesh.ServiceName(request.callee)
	pair := Pair{Caller: caller.ID, Callee: ServiceID(s.cfg.TrustDomain, callee)}
	var visitor Visitor
	if request.visit.Provider != "" { // before the ladder, which may let a call pass that is not declared
		var refused *Unproven
		if visitor, refused, err = s.visitor(ctx, caller, request.visit); err != nil {
			return nil, s.unavailable(err)
		}
		if refused != nil {
			return s.turnAway(ctx, caller, request, refused), nil
		}
		pair.User = visitor.User.Claim()
		if callee == "" { // the gateway answers by itself, as with a redirect
			s.metrics.allowed.Inc()
			return visitor.strip(passed("", true)), nil
		}
	}
	if callee == "" {
		return s.refuse(ctx, refusal(NoCallee, caller, "", ""), caller, mesh.Deny), nil
	}
	edge, err := s.cfg.Edges.Edge(caller, callee)
	if err != nil {
		return nil, s.unavailable(err)
	}
	if edge.Reason != Allowed {
		return visitor.strip(s.refuse(ctx, refusal(edge.Reason, caller, callee, ""), caller, cmp.Or(edge.Enforcement, mesh.Deny))), nil
	}
	token, err := s.cfg.Issuer.Token(ctx, pair)
	if err != nil {
		return nil, s.unavailable(err)
	}
	s.metrics.allowed.Inc()
	answer := visitor.strip(token.response)
	if request.mirror != "" {
		answer = s.mirror(ctx, caller, pair, mesh.ServiceName(request.mirror), answer)
	}
	return answer, nil
}

// mirror adds the token for a copy of the request, which the one for the callee
// would be no good for. A copy that may not be, or has no token, costs the request
// nothing: the mirrored service refuses it.
func (s *Service) mirror(ctx context.Context, caller Caller, pair Pair, callee mesh.ServiceName, answer *response) *response {
	if edge, err := s.cfg.Edges.Edge(caller, callee); err != nil || edge.Reason != Allowed {
		return answer
	}
	pair.Callee = ServiceID(s.cfg.TrustDomain, callee)
	token, err := s.cfg.Issuer.Token(ctx, pair)
	if err != nil {
		return answer
	}
	return answer.with(forMirror(token.Raw))
}

// caller finds who asks: in the certificate of the connection, or, where plain
// connections are believed, in what the request says.
func (s *Service) caller(ctx context.Context, request *check) (Caller, error) {
	p, _ := peer.FromContext(ctx)
	if p != nil {
		if known, is := p.AuthInfo.(proven); is {
			return known.now()
		}
	}
	if !s.cfg.InsecurePlainCallers {
		return Caller{}, fmt.Errorf("the sidecar's connection has no certificate")
	}
	return ParseCaller(cmp.Or(request.caller, request.principal), s.cfg.TrustDomain)
}

// refuse answers as the callee's ladder says, and logs each refusal once a minute.
func (s *Service) refuse(ctx context.Context, r Refusal, caller Caller, how mesh.Enforcement) *response {
	if _, fresh := s.logged.SetIfAbsent(refusedPair{r.Caller, mesh.ServiceName(r.Callee), r.Error}, struct{}{}); fresh {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a call is refused", slog.String("enforcement", string(how)), slog.String("reason", string(r.Error)),
			slog.String("caller", r.Caller), slog.String("callee", r.Callee), slog.String("message", r.Message), slog.String("mend", r.Mend))
	}
	stranger := caller.Kind != ServiceCaller
	switch how {
	case mesh.Observe:
		s.metrics.observed.Inc()
		return passed("", stranger)
	case mesh.Warn:
		s.metrics.warned.Inc()
		return passed(r.Message, stranger)
	}
	s.metrics.denied.Inc()
	if stranger {
		r = r.toStranger()
	}
	return denied(r, "")
}

func (s *Service) unavailable(err error) error {
	s.metrics.unavailable.Inc()
	return status.Error(codes.Unavailable, err.Error())
}
