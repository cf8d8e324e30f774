package controlplane

import (
	"cmp"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// batch gathers one transaction; a resource that several scopes share is encoded once.
type batch struct {
	logger *slog.Logger
	update xds.Update
	seen   map[xds.Key]struct{}
	made   map[xds.Key]made // the loop's
}

// made is what a resource's version was when it was last encoded, and whose
// writing made it so.
type made struct {
	version string
	origin  xds.Origin
}

func newBatch(logger *slog.Logger, made map[xds.Key]made) *batch {
	return &batch{logger: logger, update: xds.Update{Scopes: map[string][]xds.Key{}}, seen: map[xds.Key]struct{}{}, made: made}
}

// add encodes resources and gives their keys.
func (b *batch) add(resources []translate.Resource) []xds.Key {
	keys := make([]xds.Key, 0, len(resources))
	for _, r := range resources {
		key := xds.Key{Type: r.Type, Name: r.Name}
		keys = append(keys, key)
		if _, done := b.seen[key]; done {
			continue
		}
		b.seen[key] = struct{}{}
		encoded, err := b.encode(key, r)
		if err != nil {
			// Only a string that is not UTF-8 can do this, and validation keeps those out.
			b.logger.Error("resource left out: it cannot be encoded", "type", r.Type, "name", r.Name, "error", err)
			continue
		}
		encoded.Settle = r.Settle
		b.update.Put = append(b.update.Put, encoded)
	}
	return keys
}

// encode encodes one resource. A write that leaves it as it was does not become
// its origin: another's write made this version, and is to be named if a proxy
// refuses it.
func (b *batch) encode(key xds.Key, r translate.Resource) (*xds.Resource, error) {
	origin := xds.Origin(r.Origin)
	encoded, err := xds.NewExpiring(r.Type, r.Name, r.Message, origin, r.TTL)
	if err != nil {
		return nil, err
	}
	before := b.made[key]
	if before.version == encoded.Version && before.origin != origin {
		return xds.NewExpiring(r.Type, r.Name, r.Message, before.origin, r.TTL)
	}
	b.made[key] = made{encoded.Version, origin}
	return encoded, nil
}

// hold replaces the resources that a scope holds.
func (l *loop) hold(one *openScope, members []xds.Key) {
	for _, key := range members {
		l.holders[key]++
	}
	for _, key := range one.members {
		if l.holders[key]--; l.holders[key] == 0 {
			delete(l.holders, key)
			delete(l.made, key)
		}
	}
	one.members = members
}

func (l *loop) revision() string { return strconv.FormatInt(l.view.Revision(), 10) }

// problemBoard holds the problems of each open scope; the loop writes, the API reads.
type problemBoard struct {
	mu      sync.Mutex
	byScope map[string][]translate.Problem // guarded by mu
}

func (p *problemBoard) set(scope string, problems []translate.Problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(problems) == 0 {
		delete(p.byScope, scope)
		return
	}
	if p.byScope == nil {
		p.byScope = map[string][]translate.Problem{}
	}
	p.byScope[scope] = problems
}

// list gives each problem once, sorted.
func (p *problemBoard) list() []translate.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []translate.Problem{}
	for _, problems := range p.byScope {
		out = append(out, problems...)
	}
	slices.SortFunc(out, func(a, b translate.Problem) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(out)
}

type metrics struct{ duration prometheus.Histogram }

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{duration: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "heddle_translate_seconds",
		Help:    "Time to translate one change of the catalog for the scopes of the connected proxies.",
		Buckets: prometheus.ExponentialBuckets(10e-6, 4, 10),
	})}
	if r != nil {
		r.MustRegister(m.duration)
	}
	return m
}

func (m metrics) translated(d time.Duration) { m.duration.Observe(d.Seconds()) }
