package demo

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
)

// spreadRequests are watched for how they spread; leastShare of them, in
// percent, is what each of two instances gets at least.
const (
	spreadRequests = 200
	leastShare     = 30.0
)

// spread: whole checkouts answer, and both instances of each HTTP service serve.
// A checkout counts as answered only if its gRPC and TCP edges worked too.
func (s *scenario) spread(ctx context.Context) (finding, error) {
	before := s.load.count()
	if err := s.load.more(ctx, before, spreadRequests); err != nil {
		return finding{}, err
	}
	now := s.load.count()
	served := func(id string) int { return now.answered[id] - before.answered[id] }
	figures := map[string]float64{"requests": float64(now.sent - before.sent)}
	for _, service := range []string{shop.Web, shop.Orders, shop.Payments} {
		first, second := service+"-1", service+"-2"
		one, two := served(first), served(second)
		figures[first+"Percent"], figures[second+"Percent"] = share(one, one+two), share(two, one+two)
		if min(figures[first+"Percent"], figures[second+"Percent"]) < leastShare {
			return finding{figures: figures}, fmt.Errorf("%s answered %d requests and %s %d: not spread over both", first, one, second, two)
		}
	}
	figures["grpcAnswers"], figures["tcpAnswers"] = float64(served("stock-1")), float64(served("ledger-1"))
	if served("stock-1") == 0 || served("ledger-1") == 0 {
		return finding{figures: figures}, fmt.Errorf("stock (gRPC) answered %d calls, ledger (TCP) %d", served("stock-1"), served("ledger-1"))
	}
	return finding{"requests go web → orders → payments over both instances of each; orders → stock (gRPC) and payments → ledger (TCP) answer", figures}, nil
}
