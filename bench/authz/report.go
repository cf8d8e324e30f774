package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// publish prints the table and writes the JSON.
func publish(out io.Writer, rows []row) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "in flight\tserver\trps\tp50 ms\tp99 ms\tCPU µs\trps ÷ floor\tp99 ÷ floor\tCPU µs above\tp50 µs above\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%d\t%s\t%.0f\t%.3f\t%.3f\t%.1f\t%.2f\t%.2f\t%+.1f\t%+.1f\t\n", r.InFlight, r.Server, r.RPS, r.P50MS, r.P99MS, r.CPUUS, r.RPSRatio, r.P99Ratio, r.CPUAbove, r.P50Above)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(".bench", 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(".bench", "authz.json"), append(data, '\n'), 0o600)
}
