package demo

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// spreadRequests are watched for how they spread; leastShare of them, in
// percent, is what each of two instances gets at least.
const (
	spreadRequests = 200
	leastShare     = 30.0
)

// spread: whole checkouts answer, and both instances of each HTTP service serve.
// A checkout counts as answered only if its gRPC and TCP edges worked too.
func (s *scenario) spread(ctx context.Context) (stage.Finding, error) {
	before := s.load.Count()
	if err := s.load.More(ctx, before, spreadRequests); err != nil {
		return stage.Finding{}, err
	}
	now := s.load.Count()
	served := func(id string) int { return now.Answered[id] - before.Answered[id] }
	figures := map[string]float64{"requests": float64(now.Sent - before.Sent)}
	for _, service := range []string{shop.Web, shop.Orders, shop.Payments} {
		first, second := service+"-1", service+"-2"
		one, two := served(first), served(second)
		figures[first+"Percent"], figures[second+"Percent"] = stage.Share(one, one+two), stage.Share(two, one+two)
		if min(figures[first+"Percent"], figures[second+"Percent"]) < leastShare {
			return stage.Finding{Figures: figures}, fmt.Errorf("%s answered %d requests and %s %d: not spread over both", first, one, second, two)
		}
	}
	figures["grpcAnswers"], figures["tcpAnswers"] = float64(served("stock-1")), float64(served("ledger-1"))
	if served("stock-1") == 0 || served("ledger-1") == 0 {
		return stage.Finding{Figures: figures}, fmt.Errorf("stock (gRPC) answered %d calls, ledger (TCP) %d", served("stock-1"), served("ledger-1"))
	}
	return stage.Finding{Detail: "requests go web → orders → payments over both instances of each; orders → stock (gRPC) and payments → ledger (TCP) answer", Figures: figures}, nil
}
