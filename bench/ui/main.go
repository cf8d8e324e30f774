package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// row is what one question took.
type row struct {
	What   string  `json:"what"`
	Path   string  `json:"path,omitempty"`
	Median float64 `json:"p50_ms,omitempty"`
	P90    float64 `json:"p90_ms,omitempty"`
	Ratio  float64 `json:"ratioToEmpty,omitempty"` // median of the rounds' ratios
	CPU    float64 `json:"p50_cpu_ms,omitempty"`   // of the server: what a busy machine changes least
	Bytes  int     `json:"bytes,omitempty"`
	Cores  float64 `json:"cores,omitempty"` // of access log entries
	Goal   string  `json:"goal,omitempty"`
	Met    bool    `json:"met"`
}

func main() {
	rounds := flag.Int("rounds", 30, "how often each question is asked")
	services := flag.Int("services", 2000, "how many services there are; ten instances each")
	program := flag.String("heddle", "bin/heddle", "the program that is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *program, *services, *rounds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// question is a path and the goal for it, in milliseconds; 0: none.
type question struct {
	what, path string
	goal       float64
	together   int // how many ask it at once; 0: one
}

func questions(services int) []question {
	middle := fmt.Sprintf("service-%d", services/2)
	return []question{
		{"a handler that does nothing", emptyPath, 0, 0},
		{"overview, page", "/ui/", 0, 0},
		{"service list, page", "/ui/services", 100, 0},
		{"one service, page", "/ui/services/" + middle, 100, 0},
		{"topology, JSON", "/api/v1/topology", 150, 0},
		{"topology with its layout, JSON", "/api/v1/topology?layout=true", 0, 0},
		{"topology around one service, JSON", "/api/v1/topology?focus=" + middle + "&depth=2", 150, 0},
		{"topology, page with the drawing", "/ui/topology", 0, 0},
		{"one service, page, 50 at once", "/ui/services/" + middle, 0, 50},
		{"topology, page, 50 at once", "/ui/topology", 0, 50},
		{"explain, JSON", "/api/v1/explain?from=service-0&to=" + callee, 20, 0},
		{"impact of deleting a service, JSON", "/api/v1/services/" + middle + "/impact", 0, 0},
		{"drift, JSON", "/api/v1/drift", 0, 0},
		{"services, JSON", "/api/v1/services", 0, 0},
		{"instances, JSON", "/api/v1/instances", 0, 0},
	}
}

func run(ctx context.Context, program string, services, rounds int) error {
	fmt.Fprintf(os.Stderr, "declaring %d services with %d instances\n", services, services*instancesEach)
	w, err := newWorld(ctx, program, services)
	if err != nil {
		return err
	}
	defer w.close()
	rows, err := ask(ctx, w, questions(services), rounds)
	if err != nil {
		return err
	}
	cores, err := accessLog(ctx)
	if err != nil {
		return err
	}
	rows = append(rows, row{What: "20,000 access log entries a second, sender included", Cores: cores, Goal: "< 0.5 cores", Met: cores < 0.5})
	return publish(rows, services, rounds)
}

// ask puts each question once in each round.
func ask(ctx context.Context, w *world, all []question, rounds int) ([]row, error) {
	var served []question
	for _, q := range all { // this warms up, too
		switch _, _, err := w.get(ctx, q.path); {
		case errors.Is(err, errNotFound):
			fmt.Fprintf(os.Stderr, "left out: %s, which this server does not have (%s)\n", q.what, q.path)
		case err != nil:
			return nil, err
		default:
			served = append(served, q)
		}
	}
	all = served
	took, cpu := make([][]float64, len(all)), make([][]float64, len(all))
	size := make([]int, len(all))
	for round := range rounds {
		if err := w.change(ctx, round); err != nil {
			return nil, err
		}
		for i, q := range all {
			before, err := w.server.CPU()
			if err != nil {
				return nil, err
			}
			ms, bytes, err := w.together(ctx, q.path, max(1, q.together))
			if err != nil {
				return nil, fmt.Errorf("%s: %w: %s", q.path, err, w.server.Said())
			}
			after, err := w.server.CPU()
			if err != nil {
				return nil, err
			}
			size[i] = bytes
			took[i] = append(took[i], ms)
			cpu[i] = append(cpu[i], float64((after-before).Microseconds())/1000)
		}
	}
	rows := make([]row, len(all))
	for i, q := range all {
		ratios := make([]float64, rounds)
		for round := range ratios {
			ratios[round] = took[i][round] / took[0][round]
		}
		rows[i] = row{What: q.what, Path: q.path, Median: quantile(took[i], 0.5), P90: quantile(took[i], 0.9), Ratio: quantile(ratios, 0.5), CPU: quantile(cpu[i], 0.5), Bytes: size[i], Met: true}
		if q.goal > 0 {
			rows[i].Goal, rows[i].Met = fmt.Sprintf("< %g ms", q.goal), rows[i].Median < q.goal
		}
	}
	return rows, nil
}

var errNotFound = errors.New("not found")

func (w *world) get(ctx context.Context, path string) (ms float64, size int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return 0, 0, err
	}
	if strings.HasPrefix(path, "/api/") {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	began := time.Now()
	response, err := w.client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	read, err := io.Copy(io.Discard, response.Body)
	switch {
	case err != nil:
	case response.StatusCode == http.StatusNotFound:
		err = errNotFound
	case response.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return float64(time.Since(began).Microseconds()) / 1000, int(read), err
}

// together asks so many times at once; it took as long as the last.
func (w *world) together(ctx context.Context, path string, times int) (ms float64, size int, err error) {
	if times == 1 {
		return w.get(ctx, path)
	}
	sizes, errs := make([]int, times), make([]error, times)
	began := time.Now()
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() { _, sizes[i], errs[i] = w.get(ctx, path) })
	}
	all.Wait()
	for _, one := range sizes {
		size += one
	}
	return float64(time.Since(began).Microseconds()) / 1000, size, errors.Join(errs...)
}

func quantile(all []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func publish(rows []row, services, rounds int) error {
	report := struct {
		At                time.Time `json:"at"`
		Machine           string    `json:"machine"`
		Load              string    `json:"load"`
		Services          int       `json:"services"`
		Instances, Rounds int
		Rows              []row `json:"rows"`
	}{time.Now().UTC(), fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), load(), services, services * instancesEach, rounds, rows}
	fmt.Printf("\n%d services, %d instances; %d rounds; %s, load %s\n\n", services, services*instancesEach, rounds, report.Machine, report.Load)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\tp50 ms\tp90 ms\t÷ empty\tCPU ms\tKiB\tgoal\t")
	for _, one := range rows {
		met := ""
		if !one.Met {
			met = "MISSED"
		}
		if one.Cores > 0 {
			fmt.Fprintf(table, "%s\t%.2f cores\t\t\t\t\t%s\t%s\n", one.What, one.Cores, one.Goal, met)
			continue
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.0f\t%.1f\t%d\t%s\t%s\n", one.What, one.Median, one.P90, one.Ratio, one.CPU, one.Bytes>>10, one.Goal, met)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(".bench", "ui.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// load is how many processes wanted a core over the last minute.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil || len(data) < 4 {
		return "unknown"
	}
	var first string
	_, _ = fmt.Sscan(string(data), &first) // "" is as good as unknown
	return first
}
