package docker

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
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
		r.fault("it is to be checked by the engine, but has no HEALTHCHECK: it is not checked")
		one.Check.Kind = hosts.CheckNone
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

// check reads the labels of a check.
func (r *reading) check() hosts.Check {
	var check hosts.Check
	if name, value := r.label("heddle.check", "HealthCheck"); value != "" {
		kind, err := hosts.ParseCheckKind(value)
		switch {
		case err != nil:
			r.fault("%s: %v: it is checked as without the label", name, err)
		case kind == hosts.CheckExec && !r.rules.Exec:
			r.fault("%s=%s: commands that labels name are not run on this host (--docker-exec-checks allows it): it is not checked", name, value)
			check.Kind = hosts.CheckNone
		default:
			check.Kind = kind
		}
		if err == nil && check.Kind == kind {
			_, check.Args = r.label("heddle.check.args", "HealthCheckArgs")
		}
	}
	check.Interval, check.Timeout = r.duration("interval"), r.duration("timeout")
	check.Healthy, check.Unhealthy = r.count("healthy"), r.count("unhealthy")
	if name, value := r.label("heddle.check.initial"); value != "" {
		switch initial := hosts.Health(value); initial {
		case hosts.Healthy, hosts.Unhealthy, hosts.Unknown:
			check.Initial = initial
		default:
			r.fault("%s=%q is none of healthy, unhealthy, unknown", name, value)
		}
	}
	return check
}

func (r *reading) duration(of string) time.Duration {
	name, value := r.label("heddle.check." + of)
	if name == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 || d > time.Hour {
		r.fault("%s=%q is no time from 1ns to 1h, such as 10s", name, value)
		return 0
	}
	return d
}

func (r *reading) count(of string) int {
	name, value := r.label("heddle.check." + of)
	if name == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 1000 {
		r.fault("%s=%q is no number from 1 to 1000", name, value)
		return 0
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
