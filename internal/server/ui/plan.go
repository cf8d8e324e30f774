package ui

import (
	"context"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// sidecarsOnPage bounds how many sidecars one review tells about.
const sidecarsOnPage = 50

// planView is what a change would change in sidecars and gateways.
type planView struct {
	mesh.Plan
	More int  // that are not told about
	Busy bool // it was not computed, for others are being
}

// planned tells what changes would change, as far as this server knows; nil: nothing.
// When it is too busy with others for that, the view says so.
func (u *UI) planned(ctx context.Context, r mesh.PlanRequest) *planView {
	if u.cfg.Mesh == nil {
		return nil
	}
	done, err := u.cfg.Turns.Take(ctx, true)
	if err != nil {
		return &planView{Busy: true}
	}
	defer done()
	m := u.cfg.Mesh()
	changes, faults := insight.Changes(m.View, &r)
	if len(faults) > 0 {
		return nil
	}
	plan, err := insight.Plan(ctx, m, changes)
	if err != nil {
		return nil
	}
	view := &planView{Plan: plan}
	if view.More = len(view.Sidecars) - sidecarsOnPage; view.More > 0 {
		view.Sidecars = view.Sidecars[:sidecarsOnPage]
	}
	return view
}
