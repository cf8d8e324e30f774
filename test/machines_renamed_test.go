package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestMachinesOutliveTheSettings: a server is started again with another name for its
// source, and with no source at all. What it asks no more is not withdrawn, and it says
// what is to be done; when that is done, the machines are there or gone as was meant, and no
// request fails.
func TestMachinesOutliveTheSettings(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the minutes of machines")
	}
	if !machinesHub.Inside(t, 5*time.Minute) {
		return
	}
	for i := range 3 {
		startMachine(t, i)
	}
	s := startFinder(t, "", 0, 1, 2)
	s.ofSources("dc")
	s.route(route("orders", "orders.example.com", "orders"))
	g := startGateway(t, s.server)
	g.wants("orders.example.com", "/", http.StatusOK, machineName(1))
	f := startTraffic(t, g, "orders.example.com")
	f.only(t, "three machines", 0, 1, 2)
	s.End()
	s.settings("another")
	s.restart()
	s.has(0, 1) // of what the servers call another source now
	s.awaitsProblem("source/dc", "heddle discovery forget dc")
	f.only(t, "the source has another name", 0, 1, 2)
	s.ofSources("dc", "another")
	s.awaitsInstances(5)
	f.only(t, "the service names both", 0, 1, 2)
	if err := s.client.ForgetSource(t.Context(), "dc", "", false); err != nil {
		t.Fatal(err)
	}
	f.only(t, "the one of the old name is forgotten", 0, 1)
	s.awaitsInstances(2)
	s.awaitsProblem("service/orders", `"dc"`)
	s.ofSources("another")
	f.only(t, "the service names the new one", 0, 1)

	s.End()
	s.Arguments = slices.DeleteFunc(s.Arguments, func(one string) bool { return one == "--discovery" || one == s.file })
	s.restart()
	s.has(2)
	s.awaitsProblem("source/another", "heddle discovery forget another")
	f.only(t, "there is no source", 0, 1)
	f.none(t)
}

// awaitsProblem waits for a problem of an object, whose text says so.
func (f *finder) awaitsProblem(object, text string) {
	f.t.Helper()
	heddletest.Eventually(f.t, "a problem of "+object, func() error {
		problems, err := f.client.Problems(f.t.Context())
		for _, one := range problems {
			if one.Object == object && strings.Contains(one.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("there are %v, %w", problems, err)
	})
}

// awaitsInstances waits for as many instances, and so for what was placed.
func (f *finder) awaitsInstances(n int) {
	f.t.Helper()
	heddletest.Eventually(f.t, fmt.Sprint(n, " instances"), func() error {
		list, err := f.client.Instances(f.t.Context(), "orders")
		list = slices.DeleteFunc(list, func(one mesh.Instance) bool { return one.Health == mesh.Removed })
		if len(list) != n {
			return fmt.Errorf("there are %d, %w", len(list), err)
		}
		return nil
	})
}
