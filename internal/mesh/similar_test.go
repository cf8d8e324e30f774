package mesh_test

import (
	"slices"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestSimilarNamesWhatWasMeant(t *testing.T) {
	names := slices.Values([]string{"orders", "payments", "web", "a"})
	for word, want := range map[string]string{
		"ordres": "orders", "Orders": "orders", "order": "orders", "oders": "orders", "wbe": "web",
		"orders": "", "reviews": "", "x": "", "": "", "orderssss": "",
	} {
		if got := mesh.Similar(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
