// Package treetest builds the programs of this tree for tests that run them.
package treetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
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
