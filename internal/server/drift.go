package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

type driftAnswer struct {
	Body mesh.Drift
}

// mostUnusedDays bounds what a declared call may be missing for.
const mostUnusedDays = 3650

func (s *Server) driftOperations() {
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/drift", tag: "traffic", id: "getDrift", summary: "Where declarations and what proxies saw of calls do not agree",
		description: "Calls that were attempted and are not declared, that are declared and were not seen for long, and that were refused. Nothing is called unused that was not watched for as long.",
	}, s.getDrift)
}

func (s *Server) getDrift(ctx context.Context, in *struct {
	Service    string `query:"service" maxLength:"256" doc:"Only what is about this caller or callee." example:"web"`
	UnusedDays string `query:"unusedDays" maxLength:"5" doc:"For how many days a declared call has to be missing to count as unused; default 30." example:"30"`
	Since      string `query:"since" maxLength:"32" doc:"How long ago attempts and refusals count, as a time span; default 168h." example:"24h"`
}) (*driftAnswer, error) {
	o := insight.DriftOptions{Now: time.Now(), Service: in.Service}
	var faults mesh.Faults
	if in.UnusedDays != "" {
		days, err := strconv.Atoi(in.UnusedDays)
		if err != nil || days < 1 || days > mostUnusedDays {
			faults.Add("query.unusedDays", "is not from 1 to %d", mostUnusedDays)
		}
		o.UnusedDays = days
	}
	if in.Since != "" {
		since, err := time.ParseDuration(in.Since)
		if err != nil || since <= 0 {
			faults.Add("query.since", "is no time span such as 24h")
		}
		o.Recent = since
	}
	if err := mesh.Invalid("the request's parameters are wrong", faults); err != nil {
		return nil, err
	}
	seen, err := s.seen(ctx)
	if err != nil {
		return nil, err
	}
	return &driftAnswer{Body: insight.Drift(s.cfg.Catalog.View(), seen, o)}, nil
}
