package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// row is what was measured of one server at one size.
type row struct {
	Server         string  `json:"server"`
	Services       int     `json:"services"`
	Streams        int     `json:"streams"`
	ColdMS         float64 `json:"cold_ms"` // until all streams are complete
	P50MS          float64 `json:"p50_ms"`  // a change, until so many of the streams have it
	P99MS          float64 `json:"p99_ms"`
	P100MS         float64 `json:"p100_ms"`
	BytesPerChange float64 `json:"bytes_per_change_stream"`
	CPUMS          float64 `json:"cpu_ms_per_change"` // of the server
	RSSMB          float64 `json:"rss_mb"`            // after the cold starts
	ReconnectBytes float64 `json:"reconnect_resource_bytes"`

	coldCPUMS float64 // of the server, for a cold start; only printed
}

type report struct {
	rows  []row
	notes []string
}

func newReport() *report { return &report{} }

func (r *report) add(one row) { r.rows = append(r.rows, one) }

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// publish prints the table and writes the JSON.
func (r *report) publish(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "services\tstreams\tserver\tcold ms\tcold CPU ms\tp50 ms\tp99 ms\tp100 ms\tB/change/stream\tCPU ms/change\tRSS MB\treconnect B/stream\t")
	for _, one := range r.rows {
		fmt.Fprintf(table, "%d\t%d\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\t%.2f\t%.0f\t%.0f\t\n", one.Services, one.Streams, one.Server,
			one.ColdMS, one.coldCPUMS, one.P50MS, one.P99MS, one.P100MS, one.BytesPerChange, one.CPUMS, one.RSSMB, one.ReconnectBytes)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	r.ratios(out)
	for _, one := range r.notes {
		fmt.Fprintln(out, one)
	}
	data, err := json.MarshalIndent(r.rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(".bench", 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(".bench", "xds.json"), append(data, '\n'), 0o600)
}

// ratios compares Heddle with the floor of the same size.
func (r *report) ratios(out io.Writer) {
	for _, ours := range r.rows {
		for _, least := range r.rows {
			if ours.Server != "heddle" || least.Server != "floor" || ours.Services != least.Services || ours.Streams != least.Streams {
				continue
			}
			fmt.Fprintf(out, "%d services, %d streams, heddle ÷ floor: last stream %.2f (goal 1.3), CPU %.2f (1.5), cold start %.2f (1.5), RSS %.2f (2)\n",
				ours.Services, ours.Streams, ratio(ours.P100MS, least.P100MS), ratio(ours.CPUMS, least.CPUMS),
				ratio(ours.ColdMS, least.ColdMS), ratio(ours.RSSMB, least.RSSMB))
		}
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
