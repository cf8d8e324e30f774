package hosts

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/present"
)

// tell tells a person of one check.
func (t *town) tell(c stage.Check) {
	mark := "ok    "
	if !c.OK {
		mark = "FAILED"
	}
	known := ""
	if ms := c.Figures["knownMs"]; ms > 0 {
		known = ", after " + seconds(ms)
	}
	t.say("%s %s: %s%s", mark, c.Name, c.Detail, known)
}

// report gives the result.
func (t *town) report(r stage.Result) error {
	if t.config.JSON {
		return r.Report(t.config.Out, true)
	}
	table := present.NewTable(present.Palette{}, "STEP", "KNOWN AFTER", "REQUESTS", "FAILED", "LOST", "RETRIED", "SLOWEST")
	for _, c := range r.Checks {
		if len(c.Figures) == 0 {
			what, _, _ := strings.Cut(c.Detail, ":")
			if what != "not played" {
				what = "failed"
			}
			table.Add(present.Text(c.Name, what)...)
			continue
		}
		count := func(name string) string { return strconv.FormatFloat(c.Figures[name], 'f', -1, 64) }
		known := ""
		if ms := c.Figures["knownMs"]; ms > 0 {
			known = seconds(ms)
		}
		table.Add(present.Text(c.Name, known, count("requests"), count("failed"), count("lost"), count("retried"), seconds(c.Figures["slowestMs"]))...)
	}
	fmt.Fprintln(t.config.Out)
	if err := table.Write(t.config.Out); err != nil {
		return err
	}
	fmt.Fprintln(t.config.Out)
	return r.Report(t.config.Out, false)
}

// seconds tells milliseconds to a person.
func seconds(ms float64) string {
	if ms < 1000 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
