package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// mtls: the port of each sidecar takes no plain text, and nobody without a
// certificate; to who has one it proves which service it is. The requests of the
// load go over such connections.
func (s *scenario) mtls(ctx context.Context) (stage.Finding, error) {
	insider, err := s.town.bearerOf("web-1")
	if err != nil {
		return stage.Finding{}, err
	}
	stranger := &bearer{roots: insider.roots}
	figures := map[string]float64{}
	for _, i := range s.town.instances {
		plain := newFront(i.id+"'s port", i.service, address(i.inbound))
		got, err := plain.get(ctx, "/")
		plain.close()
		if err == nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s answered plain text: %w", i.id, got)
		}
		figures["plainRefused"]++
		got, peer, err := stranger.ask(ctx, i, "/", "")
		if err == nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s answered one without a certificate: %w", i.id, got)
		}
		if peer != spiffeID(i.service) {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s proved to be %q: %w", i.id, peer, err)
		}
		figures["strangersRefused"]++
	}
	for _, i := range s.town.instances {
		if i.service == shop.Reviews {
			continue // nobody has declared it: nobody calls it
		}
		n, err := i.stat(ctx, "listener.*.ssl.handshake")
		if err != nil {
			return stage.Finding{Figures: figures}, err
		}
		if n == 0 {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s has taken no connection with mutual TLS", i.id)
		}
		figures["handshakes"] += n
	}
	return stage.Finding{
		Detail:  fmt.Sprintf("the ports of all %d sidecars refuse plain text, and callers without a certificate; each proved by its own which service it is, in TLS 1.3", len(s.town.instances)),
		Figures: figures,
	}, nil
}

// stat reads the sum of what Envoy counts under names that match.
func (i *instance) stat(ctx context.Context, pattern string) (sum float64, err error) {
	admin := newFront("the admin interface of "+i.id, i.admin, i.admin)
	defer admin.close()
	got, err := admin.get(ctx, "/stats?filter=^"+pattern+"$")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(got.body) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("the admin interface of %s counts %q", i.id, line)
		}
		sum += n
	}
	return sum, nil
}
