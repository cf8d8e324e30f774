package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// model is what was declared, and for how long each value of it may have been
// in force in some Envoy: it says what a request may come to.
type model struct {
	// settle is how long after the acknowledgement of a change Envoys may still
	// do what held before.
	settle time.Duration

	mu        sync.Mutex // guards what follows
	services  map[mesh.ServiceName]*history[*mesh.Service]
	instances map[mesh.InstanceKey]*history[*mesh.Instance]
	healthy   map[mesh.ServiceName]*history[int] // instances that may be chosen
}

func newModel(settle time.Duration) *model {
	return &model{settle: settle, services: map[mesh.ServiceName]*history[*mesh.Service]{},
		instances: map[mesh.InstanceKey]*history[*mesh.Instance]{}, healthy: map[mesh.ServiceName]*history[int]{}}
}

// history is what something was declared as, the latest last; the zero value of
// V stands for what is not there.
type history[V any] struct{ eras []era[V] }

type era[V any] struct {
	value V
	from  time.Time // just before it was sent to the server
	until time.Time // when what came in its place was acknowledged; zero: not yet
}

func (h *history[V]) begin(value V) {
	if h.eras == nil {
		h.eras = make([]era[V], 1) // from the beginning of time it was not there
	}
	h.eras = append(h.eras, era[V]{value: value, from: time.Now()})
}

// acknowledged ends all but the latest, and forgets what ended long ago.
func (h *history[V]) acknowledged(keep time.Duration) {
	now := time.Now()
	for i := range h.eras[:len(h.eras)-1] {
		if h.eras[i].until.IsZero() {
			h.eras[i].until = now
		}
	}
	h.eras = slices.DeleteFunc(h.eras, func(e era[V]) bool { return !e.until.IsZero() && now.Sub(e.until) > keep })
}

func (h *history[V]) now() (value V) {
	if h == nil {
		return value
	}
	return h.eras[len(h.eras)-1].value
}

// during gives what may have been in force at some time from start to end.
func (h *history[V]) during(start, end time.Time, settle time.Duration) []V {
	if h == nil {
		return make([]V, 1)
	}
	var out []V
	for _, e := range h.eras {
		if e.from.Before(end) && (e.until.IsZero() || e.until.Add(settle).After(start)) {
			out = append(out, e.value)
		}
	}
	return out
}

// remembered is for how long the longest request needs what was.
func (m *model) remembered() time.Duration { return m.settle + 20*time.Second }

// service begins a declaration, nil for a deletion; done ends what it replaced.
func (m *model) service(name mesh.ServiceName, value *mesh.Service) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.services[name] == nil {
		m.services[name] = &history[*mesh.Service]{}
	}
	h := m.services[name]
	h.begin(value)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		h.acknowledged(m.remembered())
	}
}

// instance is service for instances.
func (m *model) instance(key mesh.InstanceKey, value *mesh.Instance) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.instances[key] == nil {
		m.instances[key] = &history[*mesh.Instance]{}
	}
	if m.healthy[key.Service] == nil {
		m.healthy[key.Service] = &history[int]{}
	}
	h, healthy := m.instances[key], m.healthy[key.Service]
	h.begin(value)
	healthy.begin(len(m.live(key.Service, "")))
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		h.acknowledged(m.remembered())
		healthy.acknowledged(m.remembered())
		for key, old := range m.instances { // names of instances do not come back
			if last := old.eras[len(old.eras)-1]; last.value == nil && time.Since(last.from) > m.remembered() {
				delete(m.instances, key)
			}
		}
	}
}

// live lists the healthy instances of a service, by ID; of one subset, or ""
// for all. It is called with m.mu held.
func (m *model) live(service mesh.ServiceName, subset string) []*mesh.Instance {
	return slices.DeleteFunc(m.registered(service, subset), func(i *mesh.Instance) bool { return i.Health != mesh.Healthy })
}

// registered lists the instances of a service, by ID. It is called with m.mu held.
func (m *model) registered(service mesh.ServiceName, subset string) []*mesh.Instance {
	var out []*mesh.Instance
	for key, h := range m.instances {
		if one := h.now(); key.Service == service && one != nil && (subset == "" || one.Labels["version"] == subset) {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b *mesh.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

// checkedOthers says whether some Envoy may check a service's instances, and
// gives the addresses of the healthy ones of the same version as the given one.
func (m *model) checkedOthers(than *mesh.Instance) (checks bool, others map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, s := range m.services[than.Service].during(now, now, m.settle) {
		checks = checks || s != nil && s.HealthCheck != nil
	}
	others = map[string]bool{}
	for _, one := range m.live(than.Service, than.Labels["version"]) {
		others[addressOf(one)] = one.ID != than.ID
	}
	return checks, others
}

// wish is a request as the routes see it.
type wish struct {
	caller, service    mesh.ServiceName
	method, path, kind string
}

func (w wish) String() string {
	return fmt.Sprintf("%s → %s: %s %s kind=%q", w.caller, w.service, w.method, w.path, w.kind)
}

// judge says why an answer is wrong, nil if it is right. Exact asks for what
// holds now, without the time that changes take to settle.
func (m *model) judge(w wish, start, end time.Time, got answer, err error, exact bool) error {
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	settle := m.settle
	if exact {
		settle, start, end = 0, time.Now(), time.Now()
	}
	called, uncalled := false, false
	for _, caller := range m.services[w.caller].during(start, end, settle) {
		if caller != nil && slices.Contains(caller.Dependencies, w.service) {
			called = true
		} else {
			uncalled = true
		}
	}
	versions := m.services[w.service].during(start, end, settle)
	declared := slices.ContainsFunc(versions, func(s *mesh.Service) bool { return s != nil })
	reason := got.header.Get("X-Heddle-Reason")
	switch {
	case got.status == http.StatusForbidden && reason == "undeclared" && uncalled:
		return nil
	case got.status == http.StatusServiceUnavailable && reason == "pending" && called && slices.Contains(versions, nil):
		return nil
	case got.status == http.StatusServiceUnavailable && reason == "" && called && declared &&
		slices.Contains(m.healthy[w.service].during(start, end, settle), 0):
		return nil
	case got.status != http.StatusOK, !called, !declared:
		return fmt.Errorf("got %d %s %q, while declared=%t called=%t", got.status, reason, got.body, declared, called)
	}
	return m.judgeInstance(w, versions, got.body, func(h *history[*mesh.Instance]) []*mesh.Instance { return h.during(start, end, settle) })
}

// judgeInstance holds the instance that answered to what was registered, and
// its subset to the routes. It is called with m.mu held.
func (m *model) judgeInstance(w wish, versions []*mesh.Service, body string, during func(*history[*mesh.Instance]) []*mesh.Instance) error {
	service, id, _ := strings.Cut(body, " ")
	key := mesh.InstanceKey{Service: mesh.ServiceName(service), ID: mesh.InstanceID(id)}
	if key.Service != w.service {
		return fmt.Errorf("it was answered by %s", key)
	}
	subset := ""
	for _, one := range during(m.instances[key]) {
		if one != nil && one.Health == mesh.Healthy {
			subset = one.Labels["version"]
		}
	}
	if subset == "" {
		return fmt.Errorf("it was answered by %s, which is not registered, or not healthy", key)
	}
	var allowed []string
	for _, one := range versions {
		if one == nil {
			continue
		}
		to := subsetsFor(one, w)
		if to == nil || slices.Contains(to, subset) {
			return nil
		}
		allowed = append(allowed, to...)
	}
	return fmt.Errorf("it was answered by %s of subset %s; the routes say %v", key, subset, allowed)
}

// subsetsFor gives the subsets that a service's rules send a request to; nil: all.
func subsetsFor(s *mesh.Service, w wish) []string {
	for _, rule := range s.Routes {
		if !ruleMatches(rule.Match, w) {
			continue
		}
		var out []string
		for _, to := range rule.To {
			if to.Weight > 0 {
				out = append(out, to.Subset)
			}
		}
		return out
	}
	return nil
}

func ruleMatches(m mesh.RequestMatch, w wish) bool {
	if p := m.Path; p != nil {
		switch {
		case p.Exact != "":
			if p.Exact != w.path {
				return false
			}
		case p.Prefix != "/" && w.path != p.Prefix && !strings.HasPrefix(w.path, p.Prefix+"/"):
			return false
		}
	}
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, w.method) {
		return false
	}
	for _, h := range m.Headers {
		if h.Exact != w.kind {
			return false
		}
	}
	return true
}
