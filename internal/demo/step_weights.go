package demo

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// weighed is how many requests each measurement takes. The standard deviation
	// of a share of 10 % is then under 0.8 points; tolerated are five of them.
	weighed   = 1600
	tolerance = 4.0
)

// weights: 10 % of the calls to orders go to v2, then all of them.
func (s *scenario) weights(ctx context.Context) (stage.Finding, error) {
	figures := map[string]float64{}
	if err := s.weigh(ctx, 90, 10); err != nil {
		return stage.Finding{}, err
	}
	v2, err := s.v2Share(ctx, weighed)
	if err != nil {
		return stage.Finding{}, err
	}
	figures["requestsEach"], figures["v2PercentAt90To10"] = weighed, v2
	if math.Abs(v2-10) > tolerance {
		return stage.Finding{Figures: figures}, fmt.Errorf("with weights 90/10, %.1f %% of %d requests went to v2", v2, weighed)
	}
	if err := s.weigh(ctx, 0, 100); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	if v2, err = s.v2Share(ctx, weighed); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	figures["v2PercentAt0To100"] = v2
	if v2 != 100 {
		return stage.Finding{Figures: figures}, fmt.Errorf("with weights 0/100, %.1f %% of %d requests went to v2", v2, weighed)
	}
	return stage.Finding{Detail: fmt.Sprintf("orders v1/v2: %.1f %% went to v2 with weights 90/10, all with 0/100", figures["v2PercentAt90To10"]), Figures: figures}, nil
}

// weigh sets the weights of the subsets of orders, and waits until both of
// web's sidecars follow them.
func (s *scenario) weigh(ctx context.Context, v1, v2 int) error {
	if _, err := s.redeclare(ctx, shop.Orders, func(orders *mesh.Service) {
		orders.Routes = []mesh.RouteRule{{To: []mesh.WeightedSubset{{Subset: "v1", Weight: v1}, {Subset: "v2", Weight: v2}}}}
	}); err != nil {
		return err
	}
	// Of 40 requests that were shared evenly, 10 or fewer would go to one subset
	// once in a thousand times; of those sent by these weights, nearly always.
	const few, of = 10, 40
	return s.eachFront(func(f *front) error {
		return stage.PollEach(ctx, 0, settleTime, fmt.Sprintf("%s to follow the weights %d/%d", f.id, v1, v2), func(ctx context.Context) error {
			got := map[string]int{}
			for range of {
				answer, err := s.load.order(ctx, f)
				if err != nil {
					return err
				}
				got[answer.Version]++
			}
			if v1 == 0 && got["v1"] > 0 || v1 > v2 && got["v2"] > few {
				return fmt.Errorf("of %d requests %d went to v1 and %d to v2", of, got["v1"], got["v2"])
			}
			return nil
		})
	})
}

// v2Share measures which share of the calls to orders goes to v2, in percent.
func (s *scenario) v2Share(ctx context.Context, requests int) (float64, error) {
	var mu sync.Mutex
	got := map[string]int{}
	err := s.eachFront(func(f *front) error {
		for range requests / len(s.town.fronts) {
			answer, err := s.load.order(ctx, f)
			if err != nil {
				return err
			}
			mu.Lock()
			got[answer.Version]++
			mu.Unlock()
		}
		return nil
	})
	return stage.Share(got["v2"], got["v1"]+got["v2"]), err
}
