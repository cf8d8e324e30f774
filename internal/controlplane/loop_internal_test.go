package controlplane

import (
	"context"
	"testing"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// refuser fails the test when anything is translated.
type refuser struct{ t *testing.T }

func (r refuser) Apply(u xds.Update) { r.t.Errorf("translated for a stream that gave up: %+v", u) }

// TestStreamsThatGaveUpDoNotPileUp lets proxies come again and again while etcd
// is away.
func TestStreamsThatGaveUpDoNotPileUp(t *testing.T) {
	c := catalog.New(catalog.Config{})
	l := newLoop(New(Config{Catalog: c}), refuser{t})
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		l.command(command{ctx: ctx, scope: translate.ScopeOf(mesh.Proxy{Service: "web"}), reply: make(chan error)})
		cancel()
	}
	if got := len(l.waiting); got > 1 {
		t.Errorf("%d streams are kept waiting, all of which gave up", got)
	}
	c.Apply(1, true, []mesh.Change{{Service: &mesh.Service{Name: "web"}}})
	l.change(change{view: c.View()})
}
