package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Exported are the samples that programs export: the values of their labels, by name
// and label.
type Exported map[string]map[string][]string

var (
	sample   = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	pair     = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
	selector = regexp.MustCompile(`\b((?:heddle|envoy|process|go)_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
)

// added are the labels that Prometheus adds itself, or that histograms have.
var added = []string{"instance", "job", "le"}

// Parse takes in what a program exports.
func (e Exported) Parse(text string) {
	for line := range strings.Lines(text) {
		m := sample.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		if e[m[1]] == nil {
			e[m[1]] = map[string][]string{}
		}
		for _, p := range pair.FindAllStringSubmatch(m[2], -1) {
			if values := e[m[1]][p[1]]; !slices.Contains(values, p[2]) {
				e[m[1]][p[1]] = append(values, p[2])
			}
		}
	}
}

// Faults says which of a query's metrics, of those with a prefix, and which of its
// labels are not exported. known says of a value that was not seen whether it can be.
func (e Exported) Faults(q Query, prefix string, known func(label, value string) bool) (faults []string) {
	wrong := func(format string, args ...any) {
		faults = append(faults, q.Where+": "+fmt.Sprintf(format, args...))
	}
	labels := slices.Clone(added)
	ours := false
	expr := q.Expr
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) { // labels are no metrics
		expr = strings.ReplaceAll(expr, m[0], " ")
	}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		if !strings.HasPrefix(m[1], prefix) {
			continue
		}
		ours = true
		exported, is := e[m[1]]
		if !is {
			wrong("no program exports %s", m[1])
			continue
		}
		for label := range exported {
			labels = append(labels, label)
		}
		for _, one := range matcher.FindAllStringSubmatch(m[2], -1) {
			values, has := exported[one[1]]
			switch {
			case slices.Contains(added, one[1]):
			case !has:
				wrong("%s has no label %s", m[1], one[1])
			case one[2] == "=" && !slices.Contains(values, one[3]) && !known(one[1], one[3]):
				wrong("%s is never exported with %s=%q, only with %v", m[1], one[1], one[3], values)
			}
		}
	}
	if !ours {
		return faults
	}
	for _, m := range grouping.FindAllStringSubmatch(q.Expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(labels, label) {
				wrong("it groups by %s, which none of its metrics has", label)
			}
		}
	}
	return faults
}
