package demo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// What the sidecar of a called service gives as its reason.
const (
	noToken     = "token"  // there is none that is valid here
	wrongCaller = "caller" // it is not the caller's own, or the caller may not call
)

// tokenLife is how long a token of the mesh lives.
const tokenLife = 15 * time.Minute

// token: web's sidecar puts a token for orders into each call; the sidecar of
// orders takes it from web alone.
func (s *scenario) token(ctx context.Context) (stage.Finding, error) {
	answer, err := s.load.order(ctx, s.town.fronts[0])
	if err != nil {
		return stage.Finding{}, err
	}
	callee := s.town.instance(answer.Instance)
	token := callee.app.Token()
	claims, err := readClaims(token)
	if err != nil {
		return stage.Finding{}, fmt.Errorf("what %s was given: %w", callee.id, err)
	}
	if claims.Subject != spiffeID(shop.Web) || !slices.Contains(claims.Audience, spiffeID(shop.Orders)) || claims.Issuer != "https://"+trustDomain {
		return stage.Finding{}, fmt.Errorf("the token that %s was given says %+v", callee.id, claims)
	}
	life := time.Duration(claims.Expires-claims.Issued) * time.Second
	figures := map[string]float64{"lifeSeconds": life.Seconds()}
	if life != tokenLife {
		return stage.Finding{Figures: figures}, fmt.Errorf("the token lives for %s, expected %s", life, tokenLife)
	}
	web, err := s.town.bearerOf("web-1")
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	thief, err := s.town.bearerOf("reviews-1")
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	parts := strings.Split(token, ".")
	changed := strings.Join([]string{parts[0], base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://` + trustDomain + `","sub":"` + spiffeID(shop.Reviews) +
		`","aud":["` + spiffeID(shop.Orders) + `"],"exp":4102444800}`)), parts[2]}, ".")
	for _, one := range []struct {
		what, token string
		by          *bearer
		status      int
		reason      string
	}{
		{"web with its own token", token, web, http.StatusOK, ""},
		{"web without a token", "", web, http.StatusUnauthorized, noToken},
		{"reviews with the token of web", token, thief, http.StatusForbidden, wrongCaller},
		{"reviews with that token, changed", changed, thief, http.StatusUnauthorized, noToken},
	} {
		got, _, err := one.by.ask(ctx, callee, "/orders", one.token)
		if err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s: %w", one.what, err)
		}
		if got.status != one.status || got.reason != one.reason {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s: expected status %d, reason %q; got reason %q and %w", one.what, one.status, one.reason, got.reason, got)
		}
		if one.status != http.StatusOK {
			figures["refused"]++
		}
	}
	return stage.Finding{
		Detail: fmt.Sprintf("%s was given a token with sub %s, aud %s, for %s; without it, and with one that was stolen or changed, calls to its port are refused",
			callee.id, claims.Subject, claims.Audience[0], life), Figures: figures,
	}, nil
}

// instance finds one by its ID.
func (t *town) instance(id string) *instance {
	all := slices.Concat(t.instances, t.spares)
	return all[slices.IndexFunc(all, func(i *instance) bool { return i.id == id })]
}

// claims are what a token of the mesh says.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// audience is one or several (RFC 7519, section 4.1.3).
type audience []string

// UnmarshalJSON implements [json.Unmarshaler].
func (a *audience) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(data, &(*a)[0])
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func readClaims(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("%q is no token", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(payload, &c)
}
