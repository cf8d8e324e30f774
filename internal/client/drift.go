package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// DriftQuery says what is drift; zero values are the server's defaults.
type DriftQuery struct {
	Service    string // a caller or callee; "": all
	UnusedDays int
	Since      time.Duration // how long ago attempts and refusals count
}

// Drift gives where declarations and what proxies saw of calls do not agree.
func (c *Client) Drift(ctx context.Context, q DriftQuery) (mesh.Drift, error) {
	query := url.Values{}
	if q.Service != "" {
		query.Set("service", q.Service)
	}
	if q.UnusedDays != 0 {
		query.Set("unusedDays", strconv.Itoa(q.UnusedDays))
	}
	if q.Since != 0 {
		query.Set("since", q.Since.String())
	}
	var out mesh.Drift
	err := c.do(ctx, request{method: http.MethodGet, segments: api("drift"), query: query}, &out)
	return out, err
}
