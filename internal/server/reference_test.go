package server_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// TestTheCommandsOfTheReferencePageWork runs them from top to bottom, as a reader would.
func TestTheCommandsOfTheReferencePageWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl on PATH, with which the page's commands are run")
	}
	page, err := os.ReadFile("../../docs/reference/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	blocks := shellBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 5 {
		t.Fatalf("only %d commands were found", len(blocks))
	}
	for _, block := range blocks {
		script := "set -eu -o pipefail\n" + strings.ReplaceAll(block[1], "http://127.0.0.1:7080", w.url)
		command := exec.CommandContext(t.Context(), "bash", "-c", script)
		command.Env = append(os.Environ(), "HEDDLE_TOKEN="+w.admin)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s\n%v: %s", block[1], err, out)
		}
	}
	if got := w.call("GET", "/api/v1/services/orders", ""); !strings.Contains(got.body, `"dependencies":[]`) {
		t.Errorf("the last write did not arrive: %s", got.body)
	}
}

// TestTheReferencePageNamesEveryPath keeps the table whole.
func TestTheReferencePageNamesEveryPath(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	description, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range regexp.MustCompile(`(?m)^    "(/[^"]+)": \{$`).FindAllStringSubmatch(string(description), -1) {
		if !strings.Contains(string(page), path[1]+"`") {
			t.Errorf("docs/reference/rest.md does not name %s", path[1])
		}
	}
}
