package server_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func codes(warnings []mesh.Warning) string {
	var out []string
	for _, one := range warnings {
		out = append(out, fmt.Sprintf("%s %s %s", one.Object, one.Field, one.Code))
	}
	return fmt.Sprint(out)
}

// TestWarningsOfAService holds that an answer warns of what is allowed and may go
// wrong, alike for one service, in the list, and for the whole mesh.
func TestWarningsOfAService(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	old := service("orders", "web")
	old.Tier, old.Deprecated = 3, "use shop instead"
	if _, err := c.PutService(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	w.seen()
	web := service("web", "web", "orders")
	web.Tier = 1
	const want = "[service/web dependencies[1] deprecated service/web dependencies[1] less_critical service/web dependencies[1] cycle]"
	written, err := c.PutService(t.Context(), web)
	if err != nil || codes(written.Status.Warnings) != want {
		t.Errorf("written: %s, %v", codes(written.Status.Warnings), err)
	}
	if got, err := c.Service(t.Context(), "web"); err != nil || codes(got.Status.Warnings) != want {
		t.Errorf("read: %s, %v", codes(got.Status.Warnings), err)
	}
	const orders = "service/orders dependencies[0] cycle"
	list, err := c.Services(t.Context())
	if err != nil || codes(list[0].Status.Warnings) != "["+orders+"]" || codes(list[1].Status.Warnings) != want {
		t.Errorf("listed: %s and %s, %v", codes(list[0].Status.Warnings), codes(list[1].Status.Warnings), err)
	}
	w.seen()
	route := mesh.Route{Name: "shop", Owner: "team", Hosts: []string{"shop.example.com"}, Backends: []mesh.WeightedBackend{{Service: "orders", Weight: 1}}}
	if _, err := c.PutRoute(t.Context(), route); err != nil {
		t.Fatal(err)
	}
	w.seen()
	all, err := c.Warnings(t.Context())
	if err != nil || codes(all) != "["+orders+" "+want[1:len(want)-1]+" route/shop backends[0].service deprecated]" {
		t.Errorf("all: %s, %v", codes(all), err)
	}
	if problems, err := c.Problems(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("warnings are no problems: %v, %v", problems, err)
	}
}

// TestTheListOfManyServicesStaysFast compares a list in which all services call each
// other in a circle with what reading them takes anyway.
func TestTheListOfManyServicesStaysFast(t *testing.T) {
	w := newWorld(t)
	const many, atOnce = 2000, 20
	var writers errgroup.Group
	for writer := range atOnce {
		writers.Go(func() error {
			for i := writer; i < many; i += atOnce {
				one := service(mesh.ServiceName(fmt.Sprint("s", i)))
				for k := range 5 {
					one.Dependencies = append(one.Dependencies, mesh.ServiceName(fmt.Sprint("s", (i*7+k*13+1)%many)))
				}
				if _, err := w.store.PutService(t.Context(), one, registry.Write{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	best := func(what func()) time.Duration {
		least := time.Hour
		for range 5 {
			begin := time.Now()
			what()
			least = min(least, time.Since(begin))
		}
		return least
	}
	read := best(func() {
		if all, _, err := w.store.Services(t.Context()); err != nil || len(all) != many {
			t.Fatal(len(all), err)
		}
	})
	listed := best(func() {
		if got := w.call("GET", "/api/v1/services", ""); got.status != 200 {
			t.Fatal(got.status)
		}
	})
	t.Logf("%d services: read from etcd in %s, answered in %s", many, read, listed)
	if listed > 10*read {
		t.Errorf("the list takes %s, of which reading is %s", listed, read)
	}
}
