package demo

import (
	"context"
	"fmt"
	"time"
)

// aloneRequests are answered while one AuthZ service does all the work.
const aloneRequests = 100

// authz: each AuthZ service in turn is stopped and started again, as for a new
// version; the other one gives the tokens meanwhile.
func (s *scenario) authz(ctx context.Context) (finding, error) {
	figures := map[string]float64{}
	for _, a := range s.town.authorizers {
		if !a.process.stop(serverGrace, s.town.config.Hurry) {
			return finding{figures: figures}, fmt.Errorf("%s did not end when asked", a.id)
		}
		before, began := s.load.count(), time.Now()
		if err := s.load.more(ctx, before, aloneRequests); err != nil {
			return finding{figures: figures}, err
		}
		figures["requestsWithOne"] += float64(s.load.count().sent - before.sent)
		if err := s.town.startAuthorizer(a); err != nil {
			return finding{figures: figures}, err
		}
		if err := a.await(ctx); err != nil {
			return finding{figures: figures}, err
		}
		figures["longestAloneMs"] = max(figures["longestAloneMs"], ms(time.Since(began)))
	}
	if err := s.load.more(ctx, s.load.count(), aloneRequests); err != nil {
		return finding{figures: figures}, err
	}
	return finding{
		fmt.Sprintf("each of the %d AuthZ services was stopped and started again; %.0f requests were answered with tokens of the other one, and none failed", len(s.town.authorizers), figures["requestsWithOne"]),
		figures,
	}, nil
}
