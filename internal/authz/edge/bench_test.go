package edge

import (
	"testing"

	"github.com/heddle-mesh/heddle/internal/authz"
)

// BenchmarkVisitor is what each request at the edge costs: the user's token is
// checked anew.
func BenchmarkVisitor(b *testing.B) {
	i := newTestIssuer(b)
	e := i.run(b, i.config())
	visit := authz.Visit{Provider: "staff", Assertion: sign(keyOf("now"), header(nil), i.person(nil))}
	if _, err := e.Visitor(b.Context(), visit); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Visitor(b.Context(), visit); err != nil {
			b.Fatal(err)
		}
	}
}
