package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reach is whether a cluster's API server answers. What goes and comes back is told once.
type reach struct {
	log   *slog.Logger
	shows func(is bool)

	mu    sync.Mutex
	since time.Time // guarded by mu, as below: when it stopped to answer; zero: it answers, or nobody has asked
	why   error
}

// heard takes up how asking it went. Whatever it says itself, it answers.
func (r *reach) heard(ctx context.Context, err error) {
	var says apierrors.APIStatus
	answers := err == nil || errors.As(err, &says) && says.Status().Code < http.StatusInternalServerError
	if !answers && ctx.Err() != nil {
		return // it was not asked to the end
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shows(answers)
	switch {
	case answers && !r.since.IsZero():
		r.log.Info("the cluster's API server answers again", "away", time.Since(r.since).Round(time.Second).String())
		r.since, r.why = time.Time{}, nil
	case !answers && r.since.IsZero():
		r.since, r.why = time.Now(), err
		r.log.Error("the cluster's API server does not answer: what the registry has of the cluster stays as it is, and it is asked again and again", "since", r.since.UTC().Format(time.RFC3339), "error", err)
	case !answers:
		r.why = err
	}
}

// away says that it does not answer; nil: it does.
func (r *reach) away() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		return nil
	}
	return fmt.Errorf("its API server does not answer since %s, and what the registry has of it stays as it is: %w", r.since.UTC().Format(time.RFC3339), r.why)
}

// Away names the clusters whose API servers do not answer.
func (o *Operator) Away() []error {
	var out []error
	for _, one := range o.clusters {
		if why := one.reach.away(); why != nil {
			out = append(out, fmt.Errorf("cluster %s: %w", one.Name, why))
		}
	}
	return out
}
