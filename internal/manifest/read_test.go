package manifest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/manifest"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadFolders(t *testing.T) {
	dir := write(t, map[string]string{
		"b.yaml": web, "a.yml": strings.Replace(web, "web", "a", 1), "sub/c.JSON": `{"kind": "Runtime", "values": {}}`,
		"notes.txt": "kind: Nonsense", ".hidden/x.yaml": "kind: Nonsense", ".x.yaml": "kind: Nonsense", "empty.yaml": "# later\n",
	})
	objects, err := manifest.Read([]string{dir, filepath.Join(dir, "b.yaml"), "-"}, strings.NewReader(strings.Replace(web, "web", "in", 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1 service/a", "1 service/web", "1 runtime", "1 service/in"}
	if diff := cmp.Diff(want, names(objects)); diff != "" {
		t.Error(diff)
	}
}

func TestReadReportsEveryFile(t *testing.T) {
	dir := write(t, map[string]string{"a.yaml": "kind: A\n", "b.yaml": "\nkind: B\n", "c/readme.txt": "", "d.yaml": "# nothing\n"})
	in := func(name string) string { return filepath.Join(dir, name) }
	huge := bytes.Repeat([]byte("#"), manifest.MaxFileBytes+1)
	for name, test := range map[string]struct {
		paths []string
		want  []string
	}{
		"two files":        {paths: []string{in("a.yaml"), in("b.yaml")}, want: []string{in("a.yaml") + `:1: kind: "A" is not a kind`, in("b.yaml") + `:2: kind: "B" is not a kind`}},
		"no such file":     {paths: []string{in("x.yaml"), in("a.yaml")}, want: []string{in("x.yaml") + ": no such file or directory", in("a.yaml") + ":1: kind"}},
		"an empty folder":  {paths: []string{in("c")}, want: []string{in("c") + ": the folder has no .yaml, .yml or .json file"}},
		"no object at all": {paths: []string{in("d.yaml")}, want: []string{in("d.yaml") + ": there is no object"}},
		"a huge file":      {paths: []string{"-"}, want: []string{"standard input: is longer than 10 MiB, which is the most that is read: split it"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := manifest.Read(test.paths, bytes.NewReader(huge))
			var refused *manifest.Error
			if !errors.As(err, &refused) || objects != nil {
				t.Fatalf("got %v, %v", objects, err)
			}
			got := lines(refused.Faults)
			if len(got) != len(test.want) {
				t.Fatalf("got %q", got)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
}
