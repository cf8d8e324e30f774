package demo

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/scratch"
)

// Config says how a demo runs. Heddle and Envoy are required.
type Config struct {
	Heddle string // path of the heddle binary that the children run
	Envoy  string // path of the Envoy that the sidecars run

	BasePort int    // first of a block of ports to use; 0: a free block
	DataDir  string // keeps the registry's data and all logs; "": a temporary folder, removed at the end of a demo that went well

	Once bool // play the scenario and end, instead of staying until the context ends
	JSON bool // with Once: the result as one JSON object on Out, and nothing else there

	// Hurry, if given, has the demo end its processes at once, not in order, when
	// it is closed.
	Hurry <-chan struct{}

	Out io.Writer // default: discard
	Err io.Writer // default: discard
}

func (c Config) withDefaults() (Config, error) {
	for what, path := range map[string]string{"the heddle binary": c.Heddle, "Envoy": c.Envoy} {
		if _, err := exec.LookPath(path); err != nil {
			return c, fmt.Errorf("run the demo: %s: %w", what, err)
		}
	}
	if c.JSON && !c.Once {
		return c, fmt.Errorf("run the demo: a result as JSON is had from the scenario only: add --once")
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Err == nil {
		c.Err = io.Discard
	}
	return c, nil
}

// progress is where a person follows what happens.
func (c Config) progress() io.Writer {
	if c.JSON {
		return c.Err
	}
	return c.Out
}

// folderPrefix begins the names of demos' temporary folders.
const folderPrefix = "heddle-demo-"

// workFolder makes the folder of the demo's files; temporary is nil for one that is kept.
// Those of demos that were killed are removed.
func (c Config) workFolder() (path string, temporary *scratch.Folder, err error) {
	if c.DataDir != "" {
		return c.DataDir, nil, claimFolder(c.DataDir)
	}
	if _, err := scratch.Sweep(os.TempDir(), folderPrefix, nil); err != nil {
		return "", nil, fmt.Errorf("remove what another demo left that was killed: %w", err)
	}
	if temporary, err = scratch.Make(os.TempDir(), folderPrefix); err != nil {
		return "", nil, fmt.Errorf("make the demo's data folder: %w", err)
	}
	return temporary.Path, temporary, nil
}

// markFile says that a folder is a demo's.
const markFile = ".heddle-demo"

// claimFolder makes a folder the demo's. One that holds something else is left
// alone: the demo would write among somebody's files, or onto another mesh's data.
func claimFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the demo's data folder: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("look into the demo's data folder: %w", err)
	}
	mark := filepath.Join(folder, markFile)
	if _, err := os.Stat(mark); err != nil && len(entries) > 0 {
		return fmt.Errorf("the folder %s holds something, and not a demo's data: name an empty or a new one", folder)
	}
	if err := os.WriteFile(mark, []byte("The data and logs of heddle demo --keep-data.\n"), 0o600); err != nil {
		return fmt.Errorf("write into the demo's data folder: %w", err)
	}
	return nil
}
