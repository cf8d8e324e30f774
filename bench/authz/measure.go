package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// row is what was measured of one server: medians of the rounds.
type row struct {
	Server   string  `json:"server"`
	InFlight int     `json:"in_flight"`
	RPS      float64 `json:"rps"`
	P50MS    float64 `json:"p50_ms"`
	P99MS    float64 `json:"p99_ms"`
	CPUUS    float64 `json:"cpu_us_per_request"` // of the server

	// against the floor of the same round, medians of these
	Floor    string  `json:"floor"`
	P50Above float64 `json:"p50_us_above_floor"`
	RPSRatio float64 `json:"rps_ratio"`
	P99Ratio float64 `json:"p99_ratio"`
	CPUAbove float64 `json:"cpu_us_above_floor"`
}

// contender is what takes turns with others. The first of them is the floor.
type contender struct {
	name string
	run  func(ctx context.Context, inFlight int, d time.Duration) ([]time.Duration, error) // how long each request took, sorted
	cpu  func() (time.Duration, error)                                                     // that it has used so far
}

// measureAll measures all in each round, one after the other, so that what else
// happens on the machine happens to all.
func measureAll(ctx context.Context, o options, inFlights []int, all []contender) ([]row, error) {
	var results []row
	for _, inFlight := range inFlights {
		rounds := make([][]row, len(all)) // by contender
		for round := range o.rounds {
			for i, c := range all {
				one, err := c.measure(ctx, o, inFlight)
				if err != nil {
					return nil, fmt.Errorf("%s, %d in flight: %w", c.name, inFlight, err)
				}
				rounds[i] = append(rounds[i], one)
			}
			for i := range all {
				floor := rounds[0][round]
				r := &rounds[i][round]
				r.Floor, r.P50Above = floor.Server, 1000*(r.P50MS-floor.P50MS)
				r.RPSRatio, r.P99Ratio, r.CPUAbove = r.RPS/floor.RPS, r.P99MS/floor.P99MS, r.CPUUS-floor.CPUUS
			}
		}
		for _, of := range rounds {
			results = append(results, middle(of))
		}
	}
	return results, nil
}

func (c contender) measure(ctx context.Context, o options, inFlight int) (row, error) {
	if _, err := c.run(ctx, inFlight, o.time/5); err != nil { // it has been idle
		return row{}, err
	}
	before, err := c.cpu()
	if err != nil {
		return row{}, err
	}
	begin := time.Now()
	took, err := c.run(ctx, inFlight, o.time)
	if err != nil {
		return row{}, err
	}
	elapsed := time.Since(begin)
	after, err := c.cpu()
	if err != nil {
		return row{}, err
	}
	n := len(took)
	return row{
		Server: c.name, InFlight: inFlight, RPS: float64(n) / elapsed.Seconds(),
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
		Floor:    all[0].Floor, P50Above: of(func(r row) float64 { return r.P50Above }),
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
