package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
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

// Whoever makes a client of the document has to know every reason there is.
func TestTheDocumentHasEveryReason(t *testing.T) {
	declared, err := parser.ParseFile(token.NewFileSet(), "../mesh/errors.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(declared, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is {
			return true
		}
		if kind, named := spec.Type.(*ast.Ident); named && kind.Name == "Reason" {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, text)
			}
		}
		return true
	})
	var document struct {
		Components struct {
			Schemas struct {
				Refusal struct {
					Properties struct{ Reason struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(newWorld(t).call("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	got := document.Components.Schemas.Refusal.Properties.Reason.Enum
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the document has the reasons %v, and the mesh %v", got, want)
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
