package terraform

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cloud is a folder in which testdata/az keeps what Azure would have.
type cloud struct {
	*testing.T
	folder string
}

func newCloud(t *testing.T, files map[string]string) cloud {
	t.Helper()
	c := cloud{t, t.TempDir()}
	for name, text := range files {
		c.write(name, text)
	}
	return c
}

func (c cloud) write(name, text string) {
	c.Helper()
	if err := os.WriteFile(filepath.Join(c.folder, name), []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

func (c cloud) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(c.folder, name)) // one that is not there is empty
	return string(text)
}

// run has bash do something with that az, and with pauses that take no time, and
// do what the file pause says.
func (c cloud) run(input string, command ...string) (said string, well bool) {
	c.Helper()
	tools, err := filepath.Abs("testdata")
	if err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.folder, "sleep"), []byte("#!/bin/sh\n"+c.read("pause")), 0o700); err != nil {
		c.Fatal(err)
	}
	run := exec.CommandContext(c.Context(), "bash", command...)
	run.Env = append(os.Environ(), "AZURE="+c.folder, "PATH="+tools+":"+c.folder+":"+os.Getenv("PATH"))
	run.Stdin = strings.NewReader(input)
	out, err := run.CombinedOutput()
	c.Log(string(out))
	return string(out), err == nil
}

// calls are what az was asked for of this kind.
func (c cloud) calls(kind string) (out []string) {
	for line := range strings.Lines(c.read("calls")) {
		if strings.HasPrefix(line, kind) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestThePagesCommandsAreBash(t *testing.T) {
	all := blocks(t)
	for _, block := range all {
		if said, done := newCloud(t, nil).run(block, "-n"); !done {
			t.Errorf("%s: %s", block, said)
		}
	}
	if len(all) < 12 {
		t.Errorf("only %d blocks: does the test still see them?", len(all))
	}
}

const page = "../../docs/azure-terraform.md"

// blocks are the page's commands.
func blocks(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if match[1] == "" {
			out = append(out, match[2])
		}
	}
	return out
}

// The page has commands with the version of etcd that Heddle is built with and tested with.
func TestThePageNamesEtcdsVersion(t *testing.T) {
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`go\.etcd\.io/etcd/server/v3 v(\S+)`).FindStringSubmatch(string(module))
	named := regexp.MustCompile(`etcd-v([0-9.]+[0-9])`).FindAllStringSubmatch(string(text), -1)
	if version == nil || len(named) == 0 || slices.ContainsFunc(named, func(one []string) bool { return one[1] != version[1] }) {
		t.Errorf("go.mod has etcd %q, the page %q", version, named)
	}
}
