package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Query is one query of a dashboard or an alert.
type Query struct {
	Where string // the file, and the panel or the alert
	Alert string // its name; "" of a dashboard's
	Expr  string
}

var alertLine = regexp.MustCompile(`^\s*- alert: (\S+)$|^\s*expr: '(.*)'$`)

// Read finds the queries below deploy/observability.
func Read(dir string) ([]Query, error) {
	files, err := filepath.Glob(filepath.Join(dir, "dashboards", "*.json"))
	if err != nil {
		return nil, err
	}
	var queries []Query
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(data, &dashboard); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				queries = append(queries, Query{Where: filepath.Base(file) + ", " + panel.Title, Expr: strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")})
			}
		}
	}
	alerts, err := os.ReadFile(filepath.Join(dir, "alerts.yaml"))
	if err != nil {
		return nil, err
	}
	name := ""
	for line := range strings.Lines(string(alerts)) {
		m := alertLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil:
		case m[1] != "":
			name = m[1]
		default:
			queries = append(queries, Query{Where: "alerts.yaml, " + name, Alert: name, Expr: strings.ReplaceAll(m[2], "''", "'")})
		}
	}
	return queries, nil
}

// Rules writes queries as a file of rules, for promtool to check.
func Rules(queries []Query) []byte {
	var b strings.Builder
	b.WriteString("groups:\n- name: queries\n  rules:\n")
	for i, q := range queries {
		fmt.Fprintf(&b, "  - record: query:%d\n    expr: %q\n", i, q.Expr)
	}
	return []byte(b.String())
}
