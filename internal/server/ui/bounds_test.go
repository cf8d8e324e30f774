package ui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

// The page of a service with 20,000 proxies had 9 MB.
func TestTheTablesOfAPageAreBounded(t *testing.T) {
	const many = 300
	now := time.Now()
	s := newSite(t, func(c *ui.Config) {
		c.Streams = func() []mesh.ProxyStream {
			var all []mesh.ProxyStream
			for i := range many {
				one := mesh.ProxyStream{Node: fmt.Sprintf("stock/stock-%03d", i), Service: "stock", Address: "10.0.0.3:41234", Connected: now.Add(-time.Hour)}
				if i >= 100 {
					one.Types = []mesh.ProxyType{{Type: clusterType, BehindSince: now.Add(-time.Duration(i) * time.Minute)}}
				}
				all = append(all, one)
			}
			return all
		}
	})
	s.declare(mesh.Service{Name: "stock"})
	var instances []mesh.Instance
	for i := range many {
		one := mesh.Instance{ID: mesh.InstanceID(fmt.Sprintf("copy-%03d", i)), Service: "stock", Address: "10.0.0.7", Port: 1}
		if i == many-1 {
			one.Health = mesh.Unhealthy
		}
		instances = append(instances, one)
	}
	for len(instances) > 0 {
		s.register(instances[:50]...)
		instances = instances[50:]
	}
	overview, page := s.get("", "/ui/").body, s.get("", "/ui/services/stock").body
	for what, c := range map[string]struct {
		body, row string
		rows      int
		has       []string
	}{
		"proxies that are not current": {overview, `<a href="/ui/proxies/stock/`, 50, []string{`<a href="/ui/proxies?state=behind">`, "And 150 more", "200 not current", "stock-299"}},
		"proxies of a service":         {page, `<a href="/ui/proxies/stock/`, 50, []string{`<a href="/ui/proxies?q=stock/">all 300 proxies`, `Proxies <span class="badge">300<`, "stock-299"}},
		"instances of a service":       {page, `class="cell-title">copy-`, 50, []string{"The first 50 of 300", `Instances <span class="badge">300<`, "copy-299"}},
	} {
		if rows := strings.Count(c.body, c.row); rows != c.rows {
			t.Errorf("%s: %d rows", what, rows)
		}
		for _, want := range c.has {
			if !strings.Contains(c.body, want) {
				t.Errorf("%s: %q is not there", what, want)
			}
		}
	}
}
