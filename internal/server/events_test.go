package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// told writes an event in short.
func told(e client.Event) string {
	what := ""
	switch {
	case e.Service != nil:
		what = " service " + string(e.Service.Name)
	case e.Instance != nil:
		what = " instance " + e.Instance.Key().String() + " " + string(e.Instance.Health)
	case e.Route != nil:
		what = " route " + string(e.Route.Name)
	case e.Runtime != nil:
		what = " runtime"
	}
	if e.Deleted {
		what += " deleted"
	}
	return strings.TrimSpace(string(e.Type) + what)
}

// follow reads events until it has been told the last of want.
func (w *world) follow(since int64, want ...string) (last int64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	enough := errors.New("enough")
	var got []string
	err := w.client("").Events(ctx, since, func(e client.Event) error {
		got = append(got, told(e))
		last = e.Revision
		if len(got) == len(want) {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("got %q, want %q: %v", got, want, err)
	}
	return last
}

func TestEventsBeginWithTheWholeMeshAndGoOn(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	revision := w.follow(0, "reset", "synced")
	w.declare(orders)
	registered, err := c.Register(ctx, []mesh.Instance{instance("orders", "o-1"), instance("orders", "o-2")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{"a": 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetHealth(ctx, registered[0].Key(), registered[0].Epoch, mesh.Draining); err != nil {
		t.Fatal(err)
	}
	if err := c.Deregister(ctx, registered[1].Key(), registered[1].Epoch); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteService(ctx, "orders", 0); err != nil {
		t.Fatal(err)
	}
	middle := w.follow(revision, "change service orders", "change instance orders/o-1", "change instance orders/o-2", "change runtime")
	end := w.follow(middle, "change instance orders/o-1 draining",
		"change instance orders/o-2 removed", "change instance orders/o-2 removed deleted", "change service orders deleted")
	w.follow(end+1_000_000, "reset", "change instance orders/o-1 draining", "change runtime", "synced") // a revision of another life of the data
}

func TestEventsArriveAsTheyHappen(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	events := make(chan client.Event, 100)
	done := make(chan error, 1)
	go func() {
		done <- w.client("").Events(ctx, 0, func(e client.Event) error { events <- e; return nil })
	}()
	for e := range events {
		if e.Type == client.EventSynced {
			break
		}
	}
	for i := range 20 {
		name := fmt.Sprintf("s-%d", i)
		w.declare(strings.Replace(orders, `"orders"`, `"`+name+`"`, 1))
		if e := <-events; told(e) != "change service "+name {
			t.Fatalf("got %s", told(e))
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestACompactedRevisionBeginsAnew(t *testing.T) {
	w := newWorld(t)
	w.declare(orders)
	for i := range 10 {
		w.write("PUT", "/api/v1/services/orders", strings.Replace(orders, "8080", fmt.Sprint(8000+i), 1))
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{w.etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	got, err := etcd.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Compact(t.Context(), got.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	w.follow(2, "reset", "change service orders", "synced")
}

// TestTheStreamOnTheWire holds what browsers and curl see: ids only at the end
// of a revision, the event's type, and Last-Event-ID.
func TestTheStreamOnTheWire(t *testing.T) {
	w := newWorld(t)
	w.declare(orders)
	read := func(headers map[string]string, until string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/api/v1/events?since=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		response, err := w.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type %q", got)
		}
		var all []string
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			line, _, _ := strings.Cut(lines.Text(), `,"revision"`)
			all = append(all, line)
			if strings.HasPrefix(line, until) {
				break
			}
		}
		return strings.Join(all, "\n")
	}
	revision := strings.Trim(w.call("GET", "/api/v1/services/orders", "").header.Get("ETag"), `"`)
	want := ": changes follow\n\nevent: reset\ndata: {\"type\":\"reset\"\n\nevent: change\ndata: {\"type\":\"change\"\n\nid: " + revision + "\nevent: synced\ndata: {\"type\":\"synced\""
	if got := read(nil, `data: {"type":"synced"`); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	w.write("DELETE", "/api/v1/services/orders", "")
	if got := read(map[string]string{"Last-Event-ID": revision}, "data: "); strings.Contains(got, "reset") || !strings.Contains(got, "event: change") {
		t.Errorf("got %s", got)
	}
}

func TestStreamsEndWhenTheServerShutsDown(t *testing.T) {
	w := newWorld(t)
	response, err := w.http.Get(w.url + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	w.server.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); { //nolint:revive // until it ends
	}
}

func TestHeadOfTheStreamDoesNotHang(t *testing.T) {
	w := newWorld(t)
	if got := w.call("HEAD", "/api/v1/events", ""); got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", got.status, got.header)
	}
}
