package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// edge: the gateway lets in who has a token of the issuer for the shop, and the
// services are told who it is; all others are refused before any service hears
// of them.
func (s *scenario) edge(ctx context.Context) (stage.Finding, error) {
	figures := map[string]float64{}
	answer, err := s.town.gateway.front.ask(ctx, "/checkout")
	if err == nil {
		err = visited(&answer)
	}
	if err != nil {
		return stage.Finding{}, err
	}
	users, now := s.town.issuer, time.Now()
	for _, one := range []struct {
		what   string
		token  func() (string, error)
		reason string
	}{
		{"no token", func() (string, error) { return "", nil }, "no_token"},
		{"a token for another application", func() (string, error) { return users.login(map[string]any{"aud": []string{otherTag}}) }, "wrong_audience"},
		{"a token of yesterday", func() (string, error) {
			return users.login(map[string]any{"iat": now.Add(-25 * time.Hour).Unix(), "nbf": now.Add(-25 * time.Hour).Unix(), "exp": now.Add(-time.Hour).Unix()})
		}, "expired_token"},
		{"a token signed by somebody else", users.forged, "wrong_signature"},
		{"a token of another team", func() (string, error) {
			return users.login(map[string]any{"iss": "https://other.cloudflareaccess.com"})
		}, "wrong_issuer"},
	} {
		token, err := one.token()
		if err != nil {
			return stage.Finding{Figures: figures}, err
		}
		door, err := s.town.gateway.door(token)
		if err != nil {
			return stage.Finding{Figures: figures}, err
		}
		got, err := door.get(ctx, "/checkout")
		door.close()
		if err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s: %w", one.what, err)
		}
		if err := refusedAs(got, http.StatusUnauthorized, one.reason, ""); err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s: %w", one.what, err)
		}
		figures["refused"]++
	}
	return stage.Finding{
		Detail: fmt.Sprintf("over HTTPS, %s's user %s got to %s, which was told so by the gateway's token, and orders heard from %s; without a token, and with one of another application, expired or forged, the answer is 401",
			provider, answer.User, shop.Web, answer.Find(shop.Orders).Caller), Figures: figures,
	}, nil
}
