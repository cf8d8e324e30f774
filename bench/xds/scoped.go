package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	callsEach      = 5
	scopedStreams  = 1000
	scopedServices = 500 // that streams stand beside, at every size
	scopedChanges  = 100
)

// alone is a service that nobody declared.
const alone = "alone"

// ring is a world in which each service calls the next five.
func ring(services int) world {
	var w world
	for i := range services {
		calls := make([]mesh.ServiceName, callsEach)
		for c := range calls {
			calls[c] = serviceName((i + c + 1) % services)
		}
		w.add(i, calls)
	}
	w.add(services, []mesh.ServiceName{})
	w.services[services].Name = alone
	for n := range instancesEach {
		w.instances[services*instancesEach+n].Service = alone
	}
	return w
}

// measureScoped measures Heddle with declared scopes, in a small and in a large
// mesh. In both the streams stand beside the same 500 services, two beside each,
// and only services that five of those call are changed, so that a change is for
// ten streams; what it costs must not depend on the rest of the mesh.
func measureScoped(ctx context.Context, o options, r *report) error {
	dir, err := os.MkdirTemp("", "heddle-bench-xds-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var subjects []*subject
	defer func() {
		for _, s := range subjects {
			s.close()
		}
	}()
	for _, services := range []int{500, 5000} {
		own := filepath.Join(dir, strconv.Itoa(services))
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		one, err := startHeddle(ctx, o, own, ring(services))
		if err != nil {
			return err
		}
		s := &subject{server: one, members: ringMembers(services),
			row: row{Server: "heddle-scoped", Services: services, Streams: scopedStreams}}
		subjects = append(subjects, s)
	}
	for range coldStarts {
		for _, s := range subjects {
			if err := s.coldStart(ctx); err != nil {
				return fmt.Errorf("cold start: %w", err)
			}
		}
	}
	reached := callsEach * scopedStreams / scopedServices
	for i := range scopedChanges {
		for _, s := range subjects {
			if err := s.change(ctx, string(serviceName(callsEach+i)), true, reached); err != nil {
				return fmt.Errorf("change %d: %w", i+1, err)
			}
		}
	}
	for _, s := range subjects {
		s.summarize()
		if err := s.unheard(ctx); err != nil {
			return err
		}
		if err := s.reconnect(ctx); err != nil {
			return fmt.Errorf("reconnect: %w", err)
		}
		r.add(s.row)
	}
	few, many := subjects[0].row, subjects[1].row
	r.note("scoped: CPU per change at 5,000 services ÷ at 500: %.2f (goal 0.9 to 1.1), last stream %.2f; a change is for %d streams",
		ratio(many.CPUMS, few.CPUMS), ratio(many.P100MS, few.P100MS), reached)
	for _, s := range subjects {
		r.note("scoped, %d services: a service that nobody declared changed 5 times: %d bytes, %d responses, %d streams woken",
			s.row.Services, s.unheardBytes, s.unheardResponses, s.unheardWoken)
	}
	return nil
}

// ringMembers are two proxies beside each of the first services.
func ringMembers(services int) []member {
	members := make([]member, scopedStreams)
	for i := range members {
		number := i / (scopedStreams / scopedServices)
		own := serviceName(number)
		m := member{node: fmt.Sprintf("%s/p%d", own, i), routes: "outbound." + string(own), keeper: true}
		for c := range callsEach {
			m.calls = append(m.calls, string(serviceName((number+c+1)%services)))
		}
		members[i] = m
	}
	return members
}

// unheard changes a service that no stream may see, and counts what comes.
func (s *subject) unheard(ctx context.Context) error {
	h := s.server.(*heddle)
	bytes, responses := s.fleet.bytes.Load(), s.fleet.responses.Load()
	woken, err := h.woken(ctx)
	if err != nil {
		return err
	}
	for i := range 5 {
		if _, err := h.change(ctx, alone, i%2 == 0); err != nil {
			return err
		}
	}
	if err := s.fleet.quiet(ctx, 3*afterwards); err != nil {
		return err
	}
	after, err := h.woken(ctx)
	if err != nil {
		return err
	}
	s.unheardBytes, s.unheardResponses = s.fleet.bytes.Load()-bytes, s.fleet.responses.Load()-responses
	s.unheardWoken = after - woken
	return nil
}
