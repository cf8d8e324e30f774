package cloudinit_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/cloudinit"
	"github.com/heddle-mesh/heddle/internal/treetest"
)

// debian is where hack/cloud-init.sh has unpacked Debian's packages.
func debian(t *testing.T, needs string) string {
	t.Helper()
	root, err := treetest.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, ".tools", "cloud-init")
	if _, err := os.Stat(filepath.Join(folder, needs)); err != nil {
		t.Skipf("run hack/cloud-init.sh first: %v", err)
	}
	return folder
}

// judge has cloud-init say whether a document keeps to its schema.
func judge(t *testing.T, text string) (string, error) {
	t.Helper()
	packages := filepath.Join(debian(t, "usr/lib/python3/dist-packages/cloudinit"), "usr/lib/python3/dist-packages")
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "cloudinit.cmd.main", "schema", "--config-file", file)
	command.Env = append(os.Environ(), "PYTHONPATH="+packages, "PYTHONDONTWRITEBYTECODE=1")
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestDocumentsKeepToTheSchemaOfCloudInit(t *testing.T) {
	for _, sort := range sorts {
		t.Run(sort.name, func(t *testing.T) {
			text, err := templatefile(cloudinit.Template(sort.role), of(sort.role, machine(sort.change)))
			if err != nil {
				t.Fatal(err)
			}
			if out, err := judge(t, text); err != nil || !strings.Contains(out, "Valid cloud-config") || strings.Contains(out, "deprecat") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if out, err := judge(t, "#cloud-config\nwrite_files: [{path: 3}]\n"); err == nil {
		t.Errorf("the schema takes everything: %s", out)
	}
}

// worst is how exposed systemd may find a unit, of 100.
const worst = "20"

func TestUnitsAreGoodAndHardened(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	libraries := ""
	if err != nil {
		folder := debian(t, "usr/bin/systemd-analyze")
		analyze = filepath.Join(folder, "usr/bin/systemd-analyze")
		found, _ := filepath.Glob(filepath.Join(folder, "usr/lib/*/systemd"))
		libraries = strings.Join(append(found, filepath.Join(folder, "usr/lib/x86_64-linux-gnu")), ":")
	}
	root := t.TempDir()
	write := func(path, text string, mode os.FileMode) {
		at := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"sysinit", "basic", "shutdown", "network-online", "multi-user"} {
		write("etc/systemd/system/"+target+".target", "[Unit]\nDescription="+target+"\n", 0o600)
	}
	write("usr/local/bin/heddle", "#!/bin/sh\n", 0o700)
	write("usr/local/bin/heddle-agent", "#!/bin/sh\n", 0o700)
	run := func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), analyze, append([]string{"--root=" + root}, arguments...)...)
		command.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %q: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	units := cloudinit.Units()
	for _, name := range slices.Sorted(maps.Keys(units)) {
		file := strings.Replace(name, "@.", "@orders.", 1)
		write("etc/systemd/system/"+file, units[name], 0o600)
		if said := run("verify", "--man=no", file); said != "" {
			t.Errorf("%s: %s", file, said)
		}
		said := strings.TrimSpace(run("security", "--offline=true", "--threshold="+worst, file))
		t.Log(said[strings.LastIndex(said, "\n")+1:])
	}
}
