package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// downRequests are answered while there is no control plane, and
	// upRequests after it is back, before anything is changed.
	downRequests = 150
	upRequests   = 100
)

// restart: the control plane is killed and started again. Meanwhile requests go
// on; afterwards everything is still registered, and a change reaches the proxies.
func (s *scenario) restart(ctx context.Context) (stage.Finding, error) {
	plane := s.town.plane
	before, err := holdings(ctx, plane.client)
	if err != nil {
		return stage.Finding{}, err
	}
	s.load.ResetPause()
	atKill := s.load.Count()
	killed := time.Now()
	plane.process.Kill()
	if err := s.load.More(ctx, atKill, downRequests); err != nil {
		return stage.Finding{}, err
	}
	if err := plane.client.Ready(ctx); err == nil {
		return stage.Finding{}, errors.New("the server that was killed still answers")
	}
	given, err := s.newTokens(ctx)
	if err != nil {
		return stage.Finding{}, err
	}
	whileDown := s.load.Count()
	if err := plane.start(ctx); err != nil {
		return stage.Finding{}, err
	}
	figures := map[string]float64{"downMs": stage.MS(time.Since(killed)), "requestsWhileDown": float64(whileDown.Sent - atKill.Sent), "tokensWhileDown": given}
	after, err := holdings(ctx, plane.client)
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	if missing := lacking(before, after); len(missing) > 0 {
		return stage.Finding{Figures: figures}, fmt.Errorf("after the restart the registry has no longer: %s", strings.Join(missing, ", "))
	}
	figures["kept"] = float64(len(before))
	if err := s.load.More(ctx, s.load.Count(), upRequests); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	took, err := s.followsChange(ctx)
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	figures["changeAfterRestartMs"], figures["longestPauseMs"] = stage.MS(took), stage.MS(s.load.Count().Pause)
	return stage.Finding{
		Detail: fmt.Sprintf("the server was killed and was back after %s; %d requests were answered without it, the AuthZ services went on giving tokens, all %d objects are still there, and a change reaches the proxies",
			time.Duration(figures["downMs"]*float64(time.Millisecond)).Round(10*time.Millisecond), whileDown.Sent-atKill.Sent, len(before)),
		Figures: figures,
	}, nil
}

// newTokens has each AuthZ service give a token that it has not given before: the
// one of payments for ledger, where calls by TCP need none.
func (s *scenario) newTokens(ctx context.Context) (given float64, err error) {
	payments, err := s.town.bearerOf("payments-1")
	if err != nil {
		return 0, err
	}
	for _, a := range s.town.authorizers {
		got, err := payments.askForToken(ctx, a, shop.Ledger)
		if err == nil && got.status != 0 {
			err = got
		}
		if err != nil {
			return given, fmt.Errorf("ask %s for a token without a control plane and its etcd: %w", a.id, err)
		}
		given++
	}
	return given, nil
}

// holdings names everything that is registered: services with their revision,
// instances with their epoch, which a new registration would change.
func holdings(ctx context.Context, c *client.Client) ([]string, error) {
	services, err := c.Services(ctx)
	if err != nil {
		return nil, err
	}
	instances, err := c.Instances(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, one := range services {
		all = append(all, fmt.Sprintf("service %s at revision %d", one.Name, one.Meta.Revision))
	}
	for _, one := range instances {
		all = append(all, fmt.Sprintf("instance %s of registration %s", one.Key(), one.Epoch))
	}
	return all, nil
}

func lacking(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(before), func(one string) bool { return slices.Contains(after, one) })
}

// followsChange takes the weights of orders away again, so that v1 gets
// requests too, and gives how long that took at the later of web's sidecars.
func (s *scenario) followsChange(ctx context.Context) (time.Duration, error) {
	start, err := s.redeclare(ctx, shop.Orders, func(orders *mesh.Service) { orders.Routes = nil })
	if err != nil {
		return 0, err
	}
	err = s.eachFront(func(f *front) error {
		return stage.PollEach(ctx, time.Millisecond, settleTime, f.id+" to follow a change after the restart", func(ctx context.Context) error {
			answer, err := s.load.order(ctx, f)
			if err == nil && answer.Version != "v1" {
				err = errors.New("all requests go to v2 still")
			}
			return err
		})
	})
	return time.Since(start), err
}
