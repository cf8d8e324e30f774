package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// afterwards is how long the acknowledgements of a change may take to be worked
// off before the processor time is read. It is the same for all servers.
const afterwards = 100 * time.Millisecond

// coldStarts is how often each server but the slowest is measured from cold.
const coldStarts = 3

// subject is a server under measurement, with its streams.
type subject struct {
	server  server
	members []member
	fleet   *fleet
	row     row

	colds     []time.Duration
	coldCPU   []time.Duration
	latencies [][]time.Duration // of each change: p50, p99, p100
	cpu       time.Duration     // of all changes
	bytes     int64             // of all changes, over all streams
	arrivals  int               // streams that had to get one, over all changes

	// what came of changes that no stream may see
	unheardBytes, unheardResponses, unheardWoken int64
}

// rounds says how many changes a server is measured with: the slow ones need
// seconds for each.
func rounds(o options, server string) int {
	switch server {
	case "linear":
		return min(o.rounds, 5)
	case "snapshot":
		return min(o.rounds, 3)
	}
	return o.rounds
}

// measureAll measures all servers at one size. All are up at the same time and
// take turns, so that what else happens on the machine happens to all.
func measureAll(ctx context.Context, o options, size shape, r *report) error {
	dir, err := os.MkdirTemp("", "heddle-bench-xds-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w := callsAll(size.services)
	translated, err := w.translated("caller")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "world.json")
	if err := translated.write(file); err != nil {
		return err
	}
	var subjects []*subject
	defer func() {
		for _, s := range subjects {
			s.close()
		}
	}()
	members := callers(size)
	for _, title := range []string{"floor", "heddle", "linear", "snapshot"} {
		if !o.runs(title) {
			continue
		}
		one, err := startServer(ctx, o, title, dir, w, file)
		if err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		s := &subject{server: one, members: members, row: row{Server: title, Services: size.services, Streams: size.streams}}
		subjects = append(subjects, s)
	}
	for i := range coldStarts {
		for _, s := range subjects {
			if i > 0 && s.row.Server == "snapshot" {
				continue // one takes as long as all of the others
			}
			if err := s.coldStart(ctx); err != nil {
				return fmt.Errorf("%s: cold start: %w", s.row.Server, err)
			}
		}
	}
	for i := range o.rounds {
		for _, s := range subjects {
			if i >= rounds(o, s.row.Server) {
				continue
			}
			if err := s.change(ctx, string(serviceName(i%size.services)), i/size.services%2 == 0, len(s.members)); err != nil {
				return fmt.Errorf("%s: change %d: %w", s.row.Server, i+1, err)
			}
		}
	}
	for _, s := range subjects {
		s.summarize()
		if err := s.reconnect(ctx); err != nil {
			return fmt.Errorf("%s: reconnect: %w", s.row.Server, err)
		}
		r.add(s.row)
	}
	return nil
}

// callers are the proxies of the service that calls all others.
func callers(size shape) []member {
	var calls []string
	for i := range size.services {
		calls = append(calls, string(serviceName(i)))
	}
	members := make([]member, size.streams)
	for i := range members {
		members[i] = member{node: "caller/c" + strconv.Itoa(i), calls: calls, routes: "outbound.caller", keeper: i == 0}
	}
	return members
}

// coldStart measures the time from the first connection until all streams are
// complete, and the memory a little after it. Streams of an earlier one end first.
func (s *subject) coldStart(ctx context.Context) error {
	if s.fleet != nil {
		s.fleet.close()
		time.Sleep(5 * afterwards) // the server takes its leave of them
	}
	before, err := s.server.process().CPU()
	if err != nil {
		return err
	}
	begin := time.Now()
	s.fleet = connect(ctx, s.server.address(), s.members)
	if err := s.fleet.await(ctx); err != nil {
		return err
	}
	s.colds = append(s.colds, time.Since(begin))
	if err := s.fleet.quiet(ctx, 3*afterwards); err != nil {
		return err
	}
	after, err := s.server.process().CPU()
	if err != nil {
		return err
	}
	s.coldCPU = append(s.coldCPU, after-before)
	s.row.RSSMB, err = s.server.process().RSS()
	return err
}

// change makes one change and waits until want streams have it.
func (s *subject) change(ctx context.Context, service string, drained bool, want int) error {
	r := newRound(service, want)
	s.fleet.round.Store(r)
	defer s.fleet.round.Store(nil)
	before, err := s.server.process().CPU()
	if err != nil {
		return err
	}
	bytes := s.fleet.bytes.Load()
	began, err := s.server.change(ctx, service, drained)
	if err != nil {
		return err
	}
	if err := s.fleet.wait(ctx, r.done, "the change to arrive"); err != nil {
		return err
	}
	time.Sleep(afterwards)
	after, err := s.server.process().CPU()
	if err != nil {
		return err
	}
	s.cpu += after - before
	s.arrivals += want
	s.bytes += s.fleet.bytes.Load() - bytes
	took := make([]time.Duration, want)
	for i, at := range r.times {
		took[i] = max(0, at.Sub(began))
	}
	slices.Sort(took)
	s.latencies = append(s.latencies, []time.Duration{took[(want-1)/2], took[(want-1)*99/100], took[want-1]})
	return nil
}

func (s *subject) summarize() {
	of := func(i int) float64 {
		var all []time.Duration
		for _, one := range s.latencies {
			all = append(all, one[i])
		}
		return ms(median(all))
	}
	changes := float64(len(s.latencies))
	s.row.P50MS, s.row.P99MS, s.row.P100MS = of(0), of(1), of(2)
	s.row.ColdMS, s.row.coldCPUMS = ms(median(s.colds)), ms(median(s.coldCPU))
	s.row.CPUMS = ms(s.cpu) / changes
	s.row.BytesPerChange = float64(s.bytes) / float64(s.arrivals)
}

// reconnect closes all streams and opens them again with the versions that they
// had, and counts what resources come: bytes for each stream.
func (s *subject) reconnect(ctx context.Context) error {
	known := make([]map[string]map[string]string, len(s.fleet.sidecars))
	for i, one := range s.fleet.sidecars {
		known[i] = one.versions
		if one.versions == nil {
			known[i] = known[i-1] // of the same scope
		}
	}
	s.fleet.close()
	time.Sleep(5 * afterwards)
	members := slices.Clone(s.members)
	for i := range members {
		members[i].known, members[i].keeper = known[i], false
	}
	s.fleet = connect(ctx, s.server.address(), members)
	time.Sleep(5 * afterwards)
	if err := s.fleet.quiet(ctx, 5*afterwards); err != nil {
		return err
	}
	s.row.ReconnectBytes = float64(s.fleet.resourceBytes.Load()) / float64(len(members))
	return nil
}

func (s *subject) close() {
	if s.fleet != nil {
		s.fleet.close()
	}
	s.server.close()
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
