package sidecar_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/hosts/sidecar"
)

var (
	created = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	updated = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	seen    = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

func fleet() *hosts.State {
	web := hosts.Service{
		ID: "b83eac1d0c21", Name: "web", Image: "web:7", Address: netip.MustParseAddr("10.0.0.1"), Mode: hosts.WebSocketMode, Created: created, Updated: updated,
		Ports: []hosts.Port{{Port: 31000, ServicePort: 8080}, {Type: "udp", Port: 31001, Address: netip.MustParseAddr("10.9.9.9")}},
	}
	drained := web
	drained.ID, drained.Health, drained.Ports, drained.Updated, drained.Mode = "drained", hosts.Draining, nil, updated.Add(-time.Hour), ""
	return &hosts.State{Fleet: "prod", Self: "one", Changed: seen, Hosts: []hosts.Host{
		{Name: "empty", Seen: seen},
		{Name: "lost", Status: hosts.Failed, Seen: seen, Services: []hosts.Service{{ID: "web", Name: "web", Updated: updated.Add(time.Hour)}}},
		{Name: "one", Seen: seen, Services: []hosts.Service{web, drained}},
	}}
}

// The JSON is what Sidecar's own clients decode, field by field.
func TestStateIsAsSidecarWritesIt(t *testing.T) {
	got, err := json.Marshal(sidecar.StateOf(fleet()))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Servers":{` +
		`"lost":{"Name":"lost","Services":{"web":{"ID":"web","Name":"web","Image":"","Created":"1970-01-01T00:00:00Z","Hostname":"lost","Ports":[],"Updated":"2026-11-22T10:00:00Z","ProxyMode":"http","Status":1}},"LastUpdated":"2026-11-22T10:00:00Z","LastChanged":"2026-11-22T10:00:00Z"},` +
		`"one":{"Name":"one","Services":{` +
		`"b83eac1d0c21":{"ID":"b83eac1d0c21","Name":"web","Image":"web:7","Created":"2026-11-22T08:00:00Z","Hostname":"one","Ports":[{"Type":"tcp","Port":31000,"ServicePort":8080,"IP":"10.0.0.1"},{"Type":"udp","Port":31001,"ServicePort":0,"IP":"10.9.9.9"}],"Updated":"2026-11-22T09:00:00Z","ProxyMode":"ws","Status":0},` +
		`"drained":{"ID":"drained","Name":"web","Image":"web:7","Created":"2026-11-22T08:00:00Z","Hostname":"one","Ports":[],"Updated":"2026-11-22T08:00:00Z","ProxyMode":"http","Status":4}},` +
		`"LastUpdated":"2026-11-22T10:00:00Z","LastChanged":"2026-11-22T10:00:00Z"}},` +
		`"LastChanged":"2026-11-22T10:00:00Z","ClusterName":"prod","Hostname":"one"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestServicesAreByNameThoseThatChangedFirstFirst(t *testing.T) {
	got := sidecar.ServicesOf(fleet())
	var order []string
	for _, one := range got.Services["web"] {
		order = append(order, one.Hostname+"/"+one.ID)
	}
	if diff := cmp.Diff([]string{"one/drained", "one/b83eac1d0c21", "lost/web"}, order); diff != "" {
		t.Error(diff)
	}
	want := map[string]*sidecar.Member{"empty": {Name: "empty", LastUpdated: seen}, "one": {Name: "one", LastUpdated: seen, ServiceCount: 2}}
	if diff := cmp.Diff(want, got.ClusterMembers); diff != "" {
		t.Errorf("members are those that are there: %s", diff)
	}
}

func TestTwoSourcesMayUseOneIDOnAHost(t *testing.T) {
	state := &hosts.State{Hosts: []hosts.Host{{Name: "one", Services: []hosts.Service{{ID: "web", Source: "docker"}, {ID: "web", Source: "file"}}}}}
	if got := len(sidecar.StateOf(state).Servers["one"].Services); got != 2 {
		t.Errorf("%d of 2 copies are told", got)
	}
}

func TestEventsHaveSidecarsNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		event            hosts.Event
		status, previous sidecar.Status
	}{
		"new":       {hosts.Event{}, sidecar.Alive, sidecar.Unknown},
		"unhealthy": {hosts.Event{Service: hosts.Service{Health: hosts.Unhealthy}, Previous: hosts.Healthy}, sidecar.Unhealthy, sidecar.Alive},
		"unknown":   {hosts.Event{Service: hosts.Service{Health: hosts.Unknown}, Previous: hosts.Unhealthy}, sidecar.Unknown, sidecar.Unhealthy},
		"gone":      {hosts.Event{Previous: hosts.Draining, Gone: true}, sidecar.Tombstone, sidecar.Draining},
	} {
		got := sidecar.EventOf(c.event, fleet(), seen.Add(1)).ChangeEvent
		if got.Service.Status != c.status || got.PreviousStatus != c.previous {
			t.Errorf("%s: from %d to %d, want from %d to %d", name, got.PreviousStatus, got.Service.Status, c.previous, c.status)
		}
	}
}
