package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// inFlights are the numbers of requests that are kept in flight.
var inFlights = [...]int{1, 16, 64}

// row is what was measured of one server: medians of the rounds.
type row struct {
	Server   string  `json:"server"`
	InFlight int     `json:"in_flight"`
	RPS      float64 `json:"rps"`
	P50MS    float64 `json:"p50_ms"`
	P99MS    float64 `json:"p99_ms"`
	CPUUS    float64 `json:"cpu_us_per_request"` // of the server

	// against the floor of the same round, medians of these
	RPSRatio float64 `json:"rps_ratio"`
	P99Ratio float64 `json:"p99_ratio"`
	CPUAbove float64 `json:"cpu_us_above_floor"`
}

// measureAll measures every server in each round, one after the other, so that
// what else happens on the machine happens to all.
func measureAll(ctx context.Context, o options, subjects []*subject) ([]row, error) {
	loads := make([]*load, len(subjects))
	for i, s := range subjects {
		l, err := newLoad(s.address)
		if err != nil {
			return nil, err
		}
		defer l.close()
		if err := l.warm(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		loads[i] = l
	}
	var results []row
	for _, inFlight := range inFlights {
		rounds := make([][]row, len(subjects)) // by server
		for round := range o.rounds {
			for i, s := range subjects {
				one, err := s.measure(ctx, o, loads[i], inFlight)
				if err != nil {
					return nil, fmt.Errorf("%s, %d in flight: %w", s.name, inFlight, err)
				}
				rounds[i] = append(rounds[i], one)
			}
			for i := range subjects {
				floor := rounds[0][round]
				r := &rounds[i][round]
				r.RPSRatio, r.P99Ratio, r.CPUAbove = r.RPS/floor.RPS, r.P99MS/floor.P99MS, r.CPUUS-floor.CPUUS
			}
		}
		for _, all := range rounds {
			results = append(results, middle(all))
		}
	}
	return results, nil
}

func (s *subject) measure(ctx context.Context, o options, l *load, inFlight int) (row, error) {
	smallest := 0
	if !strings.HasPrefix(s.name, "floor") {
		smallest = tokenSize / 2
	}
	if _, err := l.run(ctx, inFlight, o.time/5, false, smallest); err != nil { // it has been idle
		return row{}, err
	}
	before, err := s.server.CPU()
	if err != nil {
		return row{}, err
	}
	begin := time.Now()
	took, err := l.run(ctx, inFlight, o.time, s.cold, smallest)
	if err != nil {
		return row{}, err
	}
	elapsed := time.Since(begin)
	after, err := s.server.CPU()
	if err != nil {
		return row{}, err
	}
	n := len(took)
	return row{
		Server: s.name, InFlight: inFlight, RPS: float64(n) / elapsed.Seconds(),
		P50MS: ms(took[n/2]), P99MS: ms(took[n*99/100]), CPUUS: float64((after - before).Nanoseconds()) / 1000 / float64(n),
	}, nil
}

// middle gives the median of each figure.
func middle(all []row) row {
	of := func(figure func(row) float64) float64 {
		var values []float64
		for _, one := range all {
			values = append(values, figure(one))
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return row{
		Server: all[0].Server, InFlight: all[0].InFlight,
		RPS: of(func(r row) float64 { return r.RPS }), P50MS: of(func(r row) float64 { return r.P50MS }),
		P99MS: of(func(r row) float64 { return r.P99MS }), CPUUS: of(func(r row) float64 { return r.CPUUS }),
		RPSRatio: of(func(r row) float64 { return r.RPSRatio }), P99Ratio: of(func(r row) float64 { return r.P99Ratio }),
		CPUAbove: of(func(r row) float64 { return r.CPUAbove }),
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
