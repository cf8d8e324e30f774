package files

import (
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// check is a service's check in the file: Type and Args are Sidecar's; the others may be
// left out.
type check struct {
	Type, Args         string
	Interval, Timeout  string // durations, such as 500ms
	Healthy, Unhealthy int
	Initial            string
}

func (c check) read() (hosts.Check, error) {
	read := hosts.Check{Args: c.Args, Healthy: c.Healthy, Unhealthy: c.Unhealthy}
	var err error
	if c.Type != "" {
		if read.Kind, err = hosts.ParseCheckKind(c.Type); err != nil {
			return read, fmt.Errorf("its Type: %w", err)
		}
	}
	for _, one := range []struct {
		name, text string
		to         *time.Duration
	}{{"Interval", c.Interval, &read.Interval}, {"Timeout", c.Timeout, &read.Timeout}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = hosts.ParseCheckTime(one.text, hosts.LeastInterval); err != nil {
			return read, fmt.Errorf("its %s: %w", one.name, err)
		}
	}
	if read.Initial, err = hosts.ParseInitial(c.Initial); err != nil {
		return read, fmt.Errorf("its Initial: %w", err)
	}
	switch {
	case c.Args != "" && c.Type == "":
		return read, fmt.Errorf("it has Args %q, and no Type", c.Args)
	case c.Type != "" && c.Args != "" && (read.Kind == hosts.CheckNone || read.Kind == hosts.CheckEngine):
		read.Args = "" // as Sidecar, which does not look at them
	case read.Kind == hosts.CheckExec && c.Args == "":
		return read, fmt.Errorf("its Type %q needs a command in Args", c.Type)
	}
	switch {
	case read.Kind == hosts.CheckEngine:
		return read, fmt.Errorf("its Type %q is for containers", c.Type)
	case c.Healthy < 0 || c.Unhealthy < 0:
		return read, fmt.Errorf("its Healthy is %d, Unhealthy %d: use 1 or more", c.Healthy, c.Unhealthy)
	case read.Interval != 0 && read.Timeout > read.Interval:
		return read, fmt.Errorf("its Timeout %s is longer than its Interval %s", c.Timeout, c.Interval)
	}
	return read, nil
}
