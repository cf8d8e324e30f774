package server_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server"
)

func TestTopologyOfWhatIsDeclaredAndSeen(t *testing.T) {
	w := newWorld(t, func(c *server.Config) {
		c.Observed = func(context.Context) (insight.Observed, error) {
			return insight.Observed{Edges: []mesh.Edge{{Caller: "gateway/edge", Callee: `x<script>&"`, Requests: 7, Undeclared: 7, LastSeen: time.Now()}}}, nil
		}
	})
	w.declare(`{"name":"web","owner":"a","protocol":"http","port":80,"dependencies":["orders"]}`)
	w.declare(`{"name":"orders","owner":"a","protocol":"http","port":80,"dependencies":["stock"]}`)
	w.declare(`{"name":"alone","owner":"a","protocol":"http","port":80,"dependencies":[]}`)
	w.seen()
	for path, want := range map[string]struct {
		nodes, edges int
		drawn        bool
	}{
		"/api/v1/topology":                              {6, 3, false},
		"/api/v1/topology?layout=true":                  {6, 3, true},
		"/api/v1/topology?focus=stock":                  {2, 1, false},
		"/api/v1/topology?focus=stock&depth=2":          {3, 2, false},
		"/api/v1/topology?focus=stock&depth=0":          {1, 0, false},
		"/api/v1/topology?focus=orders&layout=true":     {3, 2, true},
		"/api/v1/topology?focus=alone&depth=5&layout=1": {1, 0, true},
	} {
		got := w.call("GET", path, "")
		var topology mesh.Topology
		if err := json.Unmarshal([]byte(got.body), &topology); err != nil {
			t.Fatalf("%s: %v: %s", path, err, got.body)
		}
		if len(topology.Nodes) != want.nodes || len(topology.Edges) != want.edges {
			t.Errorf("%s: %s", path, got.body)
		}
		for _, one := range topology.Nodes {
			if (one.Box != nil) != want.drawn {
				t.Errorf("%s: %+v", path, one)
			}
		}
	}
}

func TestTopologyRefusesWhatItDoesNotHave(t *testing.T) {
	w := newWorld(t)
	for path, status := range map[string]int{
		"/api/v1/topology?focus=nobody":     404,
		"/api/v1/topology.svg?focus=nobody": 404,
		"/api/v1/topology?depth=-1":         422,
		"/api/v1/topology?depth=101":        422,
		"/api/v1/topology?depth=many":       422,
		"/api/v1/topology?layers=2":         422,
	} {
		if got := w.call("GET", path, ""); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		} else {
			got.problem(t)
		}
	}
}

// What a caller asked for is in the picture, and must stay text there.
func TestTheDrawingIsWellFormedWhateverNamesAreInIt(t *testing.T) {
	host := "</text><script>alert(1)</script>\x01\xff\"'&"
	w := newWorld(t, func(c *server.Config) {
		c.Observed = func(context.Context) (insight.Observed, error) {
			return insight.Observed{Edges: []mesh.Edge{{Caller: "web", Callee: host, Requests: 7, Undeclared: 7, LastSeen: time.Now()}}}, nil
		}
	})
	w.declare(`{"name":"web","owner":"a<b>","protocol":"http","port":80,"dependencies":[]}`)
	w.seen()
	got := w.call("GET", "/api/v1/topology.svg", "")
	if got.status != 200 || got.header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", got.status, got.header)
	}
	elements := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(got.body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v: %s", err, got.body)
		}
		if begin, is := token.(xml.StartElement); is {
			elements[begin.Name.Local]++
		}
	}
	if elements["svg"] != 1 || elements["text"] == 0 || elements["script"] != 0 {
		t.Errorf("it has %v", elements)
	}
	if !strings.Contains(got.body, "alert(1)&lt;/script&gt;") {
		t.Errorf("the host is not in it: %s", got.body)
	}
}
