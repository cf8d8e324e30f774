package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what one benchmark found.
type report struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	At      time.Time `json:"at"`
	Machine string    `json:"machine"`
	Rows    []row     `json:"rows"`
	Notes   []string  `json:"notes"`
}

// row is one series of durations.
type row struct {
	Label string  `json:"label"`
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
}

func newReport(name, title string) report {
	return report{Name: name, Title: title, At: time.Now().UTC(), Machine: machine()}
}

// add summarizes a series.
func (r *report) add(label string, series []time.Duration) {
	sorted := slices.Sorted(slices.Values(series))
	at := func(q float64) float64 {
		if len(sorted) == 0 {
			return math.NaN()
		}
		return float64(sorted[int(q*float64(len(sorted)-1)+0.5)].Microseconds()) / 1000
	}
	r.Rows = append(r.Rows, row{Label: label, Count: len(sorted), P50: at(0.5), P90: at(0.9), P99: at(0.99)})
}

func (r *report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// publish prints the table and writes the JSON.
func (r *report) publish(out io.Writer) error {
	fmt.Fprintf(out, "\n%s\n%s, %s\n\n", r.Title, r.At.Format("2006-01-02"), r.Machine)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tn\tp50 ms\tp90 ms\tp99 ms\t")
	for _, one := range r.Rows {
		fmt.Fprintf(table, "%s\t%d\t%.3f\t%.3f\t%.3f\t\n", one.Label, one.Count, one.P50, one.P90, one.P99)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, note := range r.Notes {
		fmt.Fprintln(out, note)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(".bench", 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(".bench", r.Name+".json"), append(data, '\n'), 0o600)
}

// machine describes what this runs on, without naming it.
func machine() string {
	model := ""
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = ", " + strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores%s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
