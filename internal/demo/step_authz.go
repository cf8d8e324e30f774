package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// aloneRequests are answered while one AuthZ service does all the work.
const aloneRequests = 100

// authz: each AuthZ service in turn is stopped and started again, as for a new
// version; the other one gives the tokens meanwhile.
func (s *scenario) authz(ctx context.Context) (stage.Finding, error) {
	figures := map[string]float64{}
	for _, a := range s.town.authorizers {
		if !a.process.Stop(serverGrace, s.town.config.Hurry) {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s did not end when asked", a.id)
		}
		before, began := s.load.Count(), time.Now()
		if err := s.load.More(ctx, before, aloneRequests); err != nil {
			return stage.Finding{Figures: figures}, err
		}
		figures["requestsWithOne"] += float64(s.load.Count().Sent - before.Sent)
		if err := s.town.startAuthorizer(a); err != nil {
			return stage.Finding{Figures: figures}, err
		}
		if err := a.await(ctx); err != nil {
			return stage.Finding{Figures: figures}, err
		}
		figures["longestAloneMs"] = max(figures["longestAloneMs"], stage.MS(time.Since(began)))
	}
	if err := s.load.More(ctx, s.load.Count(), aloneRequests); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	return stage.Finding{
		Detail:  fmt.Sprintf("each of the %d AuthZ services was stopped and started again; %.0f requests were answered with tokens of the other one, and none failed", len(s.town.authorizers), figures["requestsWithOne"]),
		Figures: figures,
	}, nil
}
