package manifest_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// text draws what an owner may write: also what YAML might take for something else.
func text() *rapid.Generator[string] {
	odd := rapid.SampledFrom([]string{"no", "on", "y", "Yes", "1.20", "010", "~", "null", "true", ".inf", "0x1f", "1_000", "2026-11-21",
		"- a", "a: b", "#x", "'", `"`, "*a", "&a", "!x", "%x", "@x", "`x`", "{", "[", "a\nb", "\n", "a\tb ", "\t\n", "\n\ta", " a", "", "<<", "=", "? a", "\u0085", "\u2028", "1:30", "é😀", "\ufeff"})
	return rapid.OneOf(odd, rapid.StringMatching(`[a-z0-9 :#'"-]{0,20}`), rapid.StringN(0, 20, 60).Filter(func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f })
	}))
}

func label() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[a-z]([a-z0-9-]{0,5}[a-z0-9])?`), rapid.SampledFrom([]string{"no", "on", "y", "123", "1e3", "0x1"}))
}

// What get prints, apply has to take back as it was.
func TestWrittenObjectsAreReadBack(t *testing.T) {
	propertytest.Check(t, func(t *rapid.T) {
		service := mesh.Service{
			Name: mesh.ServiceName(label().Draw(t, "name")), Owner: "team " + label().Draw(t, "owner"),
			Description: text().Draw(t, "description"), Protocol: mesh.HTTP, Port: mesh.Port(rapid.IntRange(1, 65535).Draw(t, "port")),
			Dependencies: []mesh.ServiceName{},
			Traffic:      mesh.Traffic{Timeout: mesh.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "timeout") / 1e6 * 1e6)},
			Meta:         mesh.Meta{Revision: rapid.Int64Range(0, math.MaxInt64).Draw(t, "revision"), Author: text().Draw(t, "author"), UpdatedAt: time.Unix(1700000000, 5).UTC()},
		}
		instance := mesh.Instance{
			ID: mesh.InstanceID(label().Draw(t, "id")), Service: service.Name, Address: "10.0.0.1", Port: 80,
			Labels: map[string]string{label().Draw(t, "key"): text().Draw(t, "value"), "app.kubernetes.io/x": "1.20"},
		}
		runtime := mesh.Runtime{Values: map[string]any{"s": text().Draw(t, "s"), "b": true, "f": rapid.Float64Range(-1e300, 1e300).Draw(t, "f"), label().Draw(t, "rk"): 1.0}}
		want := []manifest.Object{manifest.Of(service), manifest.Of(instance), manifest.Of(runtime)}
		var asYAML, asJSON bytes.Buffer
		if err := manifest.YAML(&asYAML, want); err != nil {
			t.Fatal(err)
		}
		if err := manifest.JSON(&asJSON, want, true); err != nil {
			t.Fatal(err)
		}
		for file, written := range map[string]string{"f.yaml": asYAML.String(), "f.json": asJSON.String(), "json.yaml": asJSON.String()} {
			got, faults := manifest.Parse(file, []byte(written))
			if len(faults) > 0 {
				t.Fatalf("%s: %q\n%s", file, lines(faults), written)
			}
			ignored := cmpopts.IgnoreFields(manifest.Object{}, "File", "Line", "tree")
			if diff := cmp.Diff(want, got, ignored, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: %s\n%s", file, diff, written)
			}
		}
	})
}

func TestJSONOfOneAndOfMany(t *testing.T) {
	runtime := manifest.Of(mesh.Runtime{Values: map[string]any{}})
	for name, test := range map[string]struct {
		objects []manifest.Object
		alone   bool
		want    string
	}{
		"none":               {want: "[]\n"},
		"one that was named": {objects: []manifest.Object{runtime}, alone: true, want: "{\n  \"kind\": \"Runtime\",\n  \"values\": {}\n}\n"},
		"one of a list":      {objects: []manifest.Object{runtime}, want: "[\n  {\n    \"kind\": \"Runtime\",\n    \"values\": {}\n  }\n]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := manifest.JSON(&b, test.objects, test.alone); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
