package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/scratch"
)

// folderName is short, for there are sockets below it.
const folderName = "heddle-hosts-"

// markFile holds the mark of the demo's processes.
const markFile = "mark"

// newFolder makes where a demo has its files.
func newFolder(mark string) (*scratch.Folder, error) {
	folder, err := scratch.Make(os.TempDir(), folderName)
	if err != nil {
		return nil, fmt.Errorf("make the demo's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder.Path, markFile), []byte(mark), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("make the demo's folder: %w", err), folder.Close())
	}
	return folder, nil
}

// sweep removes what demos have left that were killed, and gives how many those were.
func sweep() (int, error) {
	return scratch.Sweep(os.TempDir(), folderName, func(folder string) error {
		mark, err := os.ReadFile(filepath.Join(folder, markFile))
		switch {
		case errors.Is(err, fs.ErrNotExist): // it had started nothing yet
			return nil
		case err != nil:
			return err
		case len(mark) > 0:
			for _, pid := range stage.Leftovers(stage.Launcher{Mark: string(mark)}.EnvironmentMark()) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // fails only if it has ended
			}
		}
		return dockerd.Sweep(folder)
	})
}

// keepLogs leaves nothing in a folder but logs.
func keepLogs(folder *scratch.Folder) error {
	entries, err := os.ReadDir(folder.Path)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".log") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder.Path, entry.Name())))
		}
	}
	return errors.Join(err, folder.Keep())
}
