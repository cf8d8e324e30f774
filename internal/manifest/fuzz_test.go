package manifest_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/manifest"
)

// Whatever a file holds, reading it ends, faults lie within the file, and what
// was read is written and read again as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		web, "kind: Runtime\nvalues: {a: &x [1], b: *x}\n", "- {kind: Runtime, <<: {values: {}}}\n", `{"kind":"Runtime","values":{"a":"é"}}`,
		"kind: List\nitems:\n- kind: Instance\n  id: a\n  service: b\n  address: ::1\n  port: 1\n", "a: |\n  x\n", "%YAML 1.1\n---\n? a\n: b\n", "\tkind: x", "\xff\xfek\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, faults := manifest.Parse("f.yaml", data)
		count := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + bytes.Count(data, []byte("\xe2\x80")) + bytes.Count(data, []byte("\xc2\x85")) + 2
		for _, fault := range faults {
			if fault.Message == "" || fault.Line < 1 || fault.Line > count {
				t.Errorf("fault %+v of a file of %d lines", fault, count)
			}
		}
		manifest.Lint(objects)
		var first, second bytes.Buffer
		if err := manifest.YAML(&first, objects); err != nil {
			t.Fatal(err)
		}
		again, faults := manifest.Parse("f.yaml", first.Bytes())
		if len(faults) > 0 {
			t.Fatalf("%q\n%s", lines(faults), first.String())
		}
		if err := manifest.YAML(&second, again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.String(), second.String()); diff != "" {
			t.Error(diff)
		}
	})
}
