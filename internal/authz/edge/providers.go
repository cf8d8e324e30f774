package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses an object that has a key twice
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Providers are all that are set up, by name.
type Providers struct{ validators map[string]*validator }

// New makes providers. [Providers.Run] has to be called: it fetches the issuers' keys. Left
// out, now is the machine's clock, there are no metrics, and nothing is logged.
func New(c Config, now func() time.Time, registerer prometheus.Registerer, logger *slog.Logger) (*Providers, error) {
	if err := mesh.Invalid("what proves users at the edge", c.faults()); err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heddle_authz_edge_fetches_total", Help: "Fetches of an issuer's keys, by provider and outcome: done or failed."}, []string{"provider", "outcome"})
	if registerer != nil {
		registerer.MustRegister(fetches)
	}
	p := &Providers{validators: map[string]*validator{}}
	for _, one := range c.Providers {
		v, err := newValidator(one, now, fetches.MustCurryWith(prometheus.Labels{"provider": one.Name}), logger.With("provider", one.Name))
		if err != nil {
			return nil, err
		}
		p.validators[one.Name] = v
	}
	return p, nil
}

// Run fetches keys until ctx ends.
func (p *Providers) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, v := range p.validators {
		group.Go(func() error {
			v.keys.run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// Visitor implements [authz.Visitors].
func (p *Providers) Visitor(ctx context.Context, visit authz.Visit) (authz.Visitor, error) {
	v, is := p.validators[visit.Provider]
	if !is {
		return authz.Visitor{}, &authz.Unproven{Reason: authz.UnknownProvider, Message: "who may see this is not set up yet", Err: errors.New("--edge-config names no such provider")}
	}
	user, err := v.user(ctx, visit)
	if err != nil {
		return authz.Visitor{}, v.challenge(err)
	}
	return v.spend(user, visit), nil
}

// validator is one provider.
type validator struct {
	name      string
	issuer    string   // "iss"
	audiences []string // where the route names none
	allowed   []jose.SignatureAlgorithm
	skew      time.Duration
	now       func() time.Time
	keys      *keys

	scheme string                   // of WWW-Authenticate
	token  func(authz.Visit) string // finds the token in the request
	spend  func(authz.User, authz.Visit) authz.Visitor
	who    func(c *claims, payload []byte) (authz.User, error)
}

func newValidator(p Provider, now func() time.Time, fetches *prometheus.CounterVec, logger *slog.Logger) (*validator, error) {
	roots, err := p.roots()
	if err != nil {
		return nil, err
	}
	v := &validator{name: p.Name, skew: cmp.Or(p.Skew.Std(), defaultSkew), now: now, allowed: []jose.SignatureAlgorithm{jose.RS256}}
	from := &issuer{client: newClient(roots)}
	if c := p.CloudflareAccess; c != nil {
		v.issuer, v.audiences = "https://"+c.Team+".cloudflareaccess.com", c.Audiences
		v.scheme, v.token, v.spend, v.who = "Cloudflare-Access", fromCloudflare, withoutCloudflare, cloudflareUser
		from.certs = cmp.Or(c.CertsURL, v.issuer+"/cdn-cgi/access/certs")
	} else {
		o := p.OIDC
		v.issuer, v.audiences = o.Issuer, o.Audiences
		v.scheme, v.token, v.spend, v.who = "Bearer", fromBearer, withoutBearer, oidcUser(cmp.Or(o.GroupsClaim, "groups"))
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
	audiences := v.audiences
	if visit.Audience != "" {
		audiences = []string{visit.Audience}
	}
	if len(audiences) == 0 { // else tokens for any application of the issuer would be taken
		return authz.User{}, &authz.Unproven{Reason: authz.NoAudience, Message: "who may see this is not set up yet", Err: errors.New("neither the route nor --edge-config names the audience")}
	}
	raw := v.token(visit)
	if raw == "" {
		return authz.User{}, &authz.Unproven{Reason: authz.NoToken, Message: "the request brings no token that says who sends it: log in first"}
	}
	payload, err := v.open(ctx, raw)
	if err != nil {
		return authz.User{}, err
	}
	return v.userOf(payload, audiences)
}

// userOf finds who a token is about whose signature is good.
func (v *validator) userOf(payload []byte, audiences []string) (authz.User, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return authz.User{}, malformed("what the token says cannot be read", err)
	}
	if err := v.check(&c, audiences); err != nil {
		return authz.User{}, err
	}
	user, err := v.who(&c, payload)
	if err != nil {
		return authz.User{}, err
	}
	user.Issuer = v.issuer
	return user, fits(user)
}

// challenge says in a refusal that a token is wanted, as each 401 has to (RFC 9110,
// section 15.5.2), and that the one sent is not taken (RFC 6750, section 3.1).
func (v *validator) challenge(err error) error {
	var refused *authz.Unproven
	if !errors.As(err, &refused) || !refused.Reason.Unauthorized() {
		return err
	}
	refused.Challenge = fmt.Sprintf("%s realm=%q", v.scheme, v.name)
	if refused.Reason != authz.NoToken {
		refused.Challenge += fmt.Sprintf(`, error="invalid_token", error_description=%q`, refused.Message)
	}
	return err
}
