package demo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What a sidecar gives as its reason.
const (
	undeclared = "undeclared"
	pending    = "pending"
)

// declare: web may not call reviews until it declares that it does, and is told so.
func (s *scenario) declare(ctx context.Context) (stage.Finding, error) {
	figures := map[string]float64{}
	for _, f := range s.town.fronts {
		got, err := f.get(ctx, "/call/"+shop.Reviews)
		if err != nil {
			return stage.Finding{}, err
		}
		figures["statusBefore"] = float64(got.status)
		if err := refusedAs(got, http.StatusForbidden, undeclared, `"web" has not declared a dependency on "reviews"`); err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("before the declaration, through %s: %w", f.id, err)
		}
	}
	acknowledged, err := s.redeclare(ctx, shop.Web, func(web *mesh.Service) { web.Dependencies = append(web.Dependencies, shop.Reviews) })
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	longest, err := s.becomes(ctx, acknowledged, shop.Reviews, undeclared)
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	figures["callableMs"] = stage.MS(longest)
	if err := s.callEach(ctx, shop.Reviews, 20); err != nil {
		return stage.Finding{Figures: figures}, err
	}
	return stage.Finding{Detail: fmt.Sprintf("web → reviews got a 403 that names the missing declaration; once declared, both sidecars could call it after %.1f ms", stage.MS(longest)), Figures: figures}, nil
}

// refusedAs says whether a sidecar refused with this status, reason and text.
func refusedAs(got reply, status int, reason, text string) error {
	if got.status != status || got.reason != reason || !strings.Contains(got.body, text) {
		return fmt.Errorf("expected status %d, reason %q and a text with %q; got reason %q and %w", status, reason, text, got.reason, got)
	}
	return nil
}

// redeclare changes a declaration as its owner would: from the revision that
// was read. It gives the time of the acknowledged write.
func (s *scenario) redeclare(ctx context.Context, name mesh.ServiceName, change func(*mesh.Service)) (time.Time, error) {
	current, err := s.town.plane.client.Service(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	changed := current.Service
	changed.Dependencies = slices.Clone(changed.Dependencies)
	change(&changed)
	if _, err := s.town.plane.client.PutService(ctx, changed); err != nil {
		return time.Time{}, err
	}
	return time.Now(), nil
}

// becomes waits until both of web's sidecars reach a service, and gives how
// long after start the later one did. Until then it may be refused for one reason
// only, or because the called side has not heard yet of its new caller: any other
// failure on the way means that the change was not one step.
func (s *scenario) becomes(ctx context.Context, start time.Time, service, meanwhile string) (time.Duration, error) {
	var mu sync.Mutex
	var longest time.Duration
	err := s.eachFront(func(f *front) error {
		var wrong error
		err := stage.PollEach(ctx, time.Millisecond, settleTime, service+" to be callable through "+f.id, func(ctx context.Context) error {
			got, err := f.get(ctx, "/call/"+service)
			switch {
			case err != nil:
				return err
			case got.status == http.StatusOK:
				return nil
			case got.reason != meanwhile && got.reason != wrongCaller:
				wrong = fmt.Errorf("on the way to %s, through %s: %w", service, f.id, got)
				return nil
			}
			return got
		})
		mu.Lock()
		defer mu.Unlock()
		longest = max(longest, time.Since(start))
		if wrong != nil {
			return wrong
		}
		return err
	})
	return longest, err
}

// callEach makes n counted calls to a service from each of web's sidecars.
func (s *scenario) callEach(ctx context.Context, service string, n int) error {
	return s.eachFront(func(f *front) error {
		for range n {
			if _, err := s.load.call(ctx, f, service); err != nil {
				return err
			}
		}
		return nil
	})
}
