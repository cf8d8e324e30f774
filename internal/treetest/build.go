// Package treetest finds this tree for tests, and builds the programs that they run.
package treetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// tree holds a hash of all that programs are made of; hack/test.sh sets it. Go's
// test cache does not see what `go build` reads, but what a test asks of its
// environment: without this it would take a pass of another program for one of
// this. By hand, give go test -count=1.
const tree = "HEDDLE_TREE"

// Build makes a program, such as "cmd/heddle", into a file. Flags are go build's.
func Build(program, file string, flags ...string) error {
	_ = os.Getenv(tree)
	arguments := append([]string{"build", "-o", file}, flags...)
	command := exec.CommandContext(context.Background(), "go", append(arguments, "github.com/heddle-mesh/heddle/"+program)...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, output)
	}
	return nil
}

// Root is the tree's top folder: the first with a go.mod, from the test's own upwards.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("no go.mod in %s or above it", start)
		}
	}
}
