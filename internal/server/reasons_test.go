package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A program need not read the words of a 409, be it over HTTP or by the client.
func TestConflictsSayTheirReason(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.admin)
	ctx := t.Context()
	created, err := c.CreateService(ctx, service("orders"))
	if err != nil {
		t.Fatal(err)
	}
	registered, err := c.Register(ctx, []mesh.Instance{instance("orders", "o-1")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Register(ctx, []mesh.Instance{instance("orders", "o-1")}, 0); err != nil {
		t.Fatal(err)
	}
	stale := created.Service
	stale.Port = 81
	if _, err := c.PutService(ctx, stale); err != nil {
		t.Fatal(err)
	}
	stale.Port = 82
	for want, try := range map[mesh.Reason]func() error{
		mesh.ReasonExists: func() error { _, err := c.CreateService(ctx, service("orders")); return err },
		mesh.ReasonStale:  func() error { _, err := c.PutService(ctx, stale); return err },
		mesh.ReasonOtherEpoch: func() error {
			_, err := c.Renew(ctx, registered[0].Key(), registered[0].Epoch)
			return err
		},
		mesh.ReasonRequestReused: func() error {
			_, first := c.WithRequestID("one").PutService(ctx, service("web"))
			_, err := c.WithRequestID("one").PutService(ctx, service("other"))
			return errors.Join(first, err)
		},
	} {
		var refused *mesh.Error
		if err := try(); !errors.As(err, &refused) || refused.Kind != mesh.KindConflict || refused.Reason != want {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// A body can be wrong in more places than an answer is worth.
func TestRefusalsAreBounded(t *testing.T) {
	w := newWorld(t)
	var fields strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&fields, `"f%d":1,`, i)
	}
	got := w.write("POST", "/api/v1/services", "{"+fields.String()+`"name":"orders"}`)
	p := got.problem(t)
	if p.Status != 422 || len(p.Errors) != 201 || !strings.HasPrefix(p.Errors[200].Message, "and 198") {
		t.Errorf("%d faults, the last %+v", len(p.Errors), p.Errors[len(p.Errors)-1])
	}
}

// What is shown in a terminal later must not steer it.
func TestTokenDescriptionsHaveNoControlCharacters(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{`\u001b]0;x\u0007`, `a\nb`, `\u009b31m`} {
		if p := w.write("POST", "/api/v1/tokens", `{"description":"`+text+`"}`).problem(t); p.Status != 422 {
			t.Errorf("%s: %+v", text, p)
		}
	}
}
