package edge

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses an object that has a key twice
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Edges are all that is set up, by name.
type Edges struct{ validators map[string]*validator }

// New makes edges. [Edges.Run] has to be called: it fetches the issuers' keys. Left
// out, now is the machine's clock, there are no metrics, and nothing is logged.
func New(c Config, now func() time.Time, registerer prometheus.Registerer, logger *slog.Logger) (*Edges, error) {
	if err := mesh.Invalid("what proves users at the edge", c.faults()); err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_edge_fetches_total", Help: "Fetches of an issuer's keys, by edge and outcome: done or failed."}, []string{"edge", "outcome"})
	if registerer != nil {
		registerer.MustRegister(fetches)
	}
	e := &Edges{validators: map[string]*validator{}}
	for _, one := range c.Edges {
		v, err := newValidator(one, now, fetches.MustCurryWith(prometheus.Labels{"edge": one.Name}), logger.With("edge", one.Name))
		if err != nil {
			return nil, err
		}
		e.validators[one.Name] = v
	}
	return e, nil
}

// Run fetches keys until ctx ends.
func (e *Edges) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, v := range e.validators {
		group.Go(func() error {
			v.keys.run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// Visitor implements [authz.Visitors].
func (e *Edges) Visitor(ctx context.Context, edge string, visit authz.Visit) (authz.User, error) {
	v, is := e.validators[edge]
	if !is {
		return authz.User{}, &authz.Unproven{Reason: authz.UnknownEdge, Message: "the AuthZ service has not been told what proves users here"}
	}
	return v.user(ctx, visit)
}

// validator is one edge.
type validator struct {
	issuer    string // "iss"
	audiences []string
	allowed   []jose.SignatureAlgorithm
	skew      time.Duration
	now       func() time.Time
	keys      *keys

	token func(authz.Visit) string // finds the token in the request
	who   func(c *claims, payload []byte) (authz.User, error)
}

func newValidator(e Edge, now func() time.Time, fetches *prometheus.CounterVec, logger *slog.Logger) (*validator, error) {
	roots, err := e.roots()
	if err != nil {
		return nil, err
	}
	v := &validator{skew: cmp.Or(e.Skew.Std(), defaultSkew), now: now, allowed: []jose.SignatureAlgorithm{jose.RS256}}
	from := &issuer{client: newClient(roots)}
	if c := e.CloudflareAccess; c != nil {
		v.issuer, v.audiences = "https://"+c.Team+".cloudflareaccess.com", c.Audiences
		v.token, v.who = fromCloudflare, cloudflareUser
		from.certs = cmp.Or(c.CertsURL, v.issuer+"/cdn-cgi/access/certs")
	} else {
		o := e.OIDC
		v.issuer, v.audiences = o.Issuer, o.Audiences
		v.token, v.who = fromBearer, oidcUser(cmp.Or(o.GroupsClaim, "groups"))
		from.discovery = discoveryURL(o.Issuer)
		if len(o.Algorithms) > 0 {
			v.allowed = nil
			for _, one := range o.Algorithms {
				v.allowed = append(v.allowed, jose.SignatureAlgorithm(one))
			}
		}
	}
	from.name, from.allowed = v.issuer, v.allowed
	v.keys = newKeys(func(ctx context.Context) (keySet, error) {
		set, err := from.fetch(ctx)
		if err != nil {
			fetches.WithLabelValues("failed").Inc()
		} else {
			fetches.WithLabelValues("done").Inc()
		}
		return set, err
	}, now, logger)
	return v, nil
}

// user finds who is behind a request.
func (v *validator) user(ctx context.Context, visit authz.Visit) (authz.User, error) {
	raw := v.token(visit)
	if raw == "" {
		return authz.User{}, &authz.Unproven{Reason: authz.NoToken, Message: "the request brings no token that says who sends it: log in first"}
	}
	payload, err := v.open(ctx, raw)
	if err != nil {
		return authz.User{}, err
	}
	return v.userOf(payload)
}

// userOf finds who a token is about whose signature is good.
func (v *validator) userOf(payload []byte) (authz.User, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return authz.User{}, malformed("what the token says cannot be read", err)
	}
	if err := v.check(&c); err != nil {
		return authz.User{}, err
	}
	user, err := v.who(&c, payload)
	if err != nil {
		return authz.User{}, err
	}
	return user, fits(user)
}
