package docker

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// health fills how a service is checked, and what the engine itself says of it.
func (r *reading) health(one *hosts.Service, c container.Summary) {
	word, has := engineHealth(c)
	one.Check = r.check()
	switch {
	case one.Check.Kind == hosts.CheckEngine && !has:
		r.fault("it is to be checked by the engine, but has no HEALTHCHECK: it is checked as without the label")
		one.Check.Kind = ""
	case one.Check.Kind == "" && has:
		one.Check.Kind = hosts.CheckEngine
	}
	if one.Check.Kind == hosts.CheckEngine {
		one.Health = word
		if word == hosts.Unknown {
			one.Health = cmp.Or(one.Check.Initial, word)
		}
	}
	if c.State == container.StatePaused {
		one.Health = hosts.Unhealthy // it answers nothing
	}
}

// engineHealth is what the engine's HEALTHCHECK says, if the container has one. Engines
// before API 1.52 say it in a list as "Up 2 hours (healthy)" alone.
func engineHealth(c container.Summary) (word hosts.Health, has bool) {
	status := container.NoHealthcheck
	if c.Health != nil {
		status = c.Health.Status
	} else if open := strings.LastIndex(c.Status, "("); open >= 0 {
		status = container.HealthStatus(strings.TrimPrefix(strings.TrimSuffix(c.Status[open+1:], ")"), "health: "))
	}
	switch status {
	case container.Healthy:
		return hosts.Healthy, true
	case container.Unhealthy:
		return hosts.Unhealthy, true
	case container.Starting:
		return hosts.Unknown, true
	default: // none, or "Paused", which says nothing of it
		return "", false
	}
}

// leastInterval is how often labels may have something checked: anybody may write them,
// and the agent's work is for all.
const leastInterval = 100 * time.Millisecond

// check reads the labels of a check.
func (r *reading) check() hosts.Check {
	var check hosts.Check
	if name, value := r.label("heddle.check", "HealthCheck"); value != "" {
		kind, err := hosts.ParseCheckKind(value)
		switch {
		case err != nil:
			r.fault("%s: %v: it is checked as without the label", name, err)
		case kind == hosts.CheckExec && !r.rules.Exec:
			r.fault("%s=%s: commands that labels name are not run on this host (--docker-exec-checks allows it): it is checked as without the label", name, value)
		default:
			check.Kind = kind
			check.Own = !r.rules.Remote && (kind == hosts.CheckHTTP || kind == hosts.CheckGRPC || kind == hosts.CheckTCP)
		}
		if err == nil && check.Kind == kind {
			_, check.Args = r.label("heddle.check.args", "HealthCheckArgs")
		}
	}
	check.Interval, check.Timeout = r.duration("interval", leastInterval), r.duration("timeout", hosts.LeastInterval)
	check.Healthy, check.Unhealthy = r.count("healthy"), r.count("unhealthy")
	name, value := r.label("heddle.check.initial")
	var err error
	if check.Initial, err = hosts.ParseInitial(value); err != nil {
		r.fault("%s: %v", name, err)
	}
	return check
}

func (r *reading) duration(of string, least time.Duration) time.Duration {
	name, value := r.label("heddle.check." + of)
	if name == "" {
		return 0
	}
	d, err := hosts.ParseCheckTime(value, least)
	if err != nil {
		r.fault("%s: %v: it is as without the label", name, err)
	}
	return d
}

func (r *reading) count(of string) int {
	name, value := r.label("heddle.check." + of)
	if name == "" {
		return 0
	}
	n, err := hosts.ParseOutcomes(value)
	if err != nil {
		r.fault("%s: %v", name, err)
	}
	return n
}

// known are Heddle's own labels, so that a misspelt one is told of.
var known = []string{
	"heddle.name", "heddle.mode", "heddle.discover", "heddle.listener", "heddle.check", "heddle.check.args", "heddle.check.interval",
	"heddle.check.timeout", "heddle.check.healthy", "heddle.check.unhealthy", "heddle.check.initial",
}

// misspelt tells of labels that look like Heddle's and are none.
func (r *reading) misspelt() {
	for _, name := range slices.Sorted(maps.Keys(r.labels)) {
		if strings.HasPrefix(name, "heddle.") && !strings.HasPrefix(name, "heddle.port.") && !strings.HasPrefix(name, "heddle.label.") && !slices.Contains(known, name) {
			r.fault("there is no label %s", name)
		}
	}
}
