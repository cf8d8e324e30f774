package mesh_test

import (
	"os/exec"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestAShellTakesAWordForWhatItIs(t *testing.T) {
	for _, text := range []string{
		"", "orders", "gateway/edge", "/a?b=c&d", "it's", "''", `\'; id`, "$(id)", "`id`", "${IFS}", "a b\tc", "a\nb", "*", "~", "#x", "!x", "a|b>c<d;e&", `"x"`, "ü", "a$(id)b",
	} {
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf '%s.' "+mesh.ShellWord(text)).Output() //nolint:gosec // this is what is tested
		if err != nil || string(got) != text+"." {
			t.Errorf("%q, written as %s, came as %q, %v", text, mesh.ShellWord(text), got, err)
		}
	}
	for _, plain := range []string{"orders", "gateway/edge", "shop.example.com", "https://a.b:8080/c", "web/web-1"} {
		if got := mesh.ShellWord(plain); got != plain {
			t.Errorf("%s is written as %s, which nobody has to read", plain, got)
		}
	}
}
