package systemd

import (
	"errors"
	"fmt"
	"os"
)

// mostBytes are those of the longest file that is read.
const mostBytes = 1 << 20

// open reads files. One that is gone is a drop-in or unit that was removed, which systemd
// knows at its next reload.
func open(paths []string) ([]file, error) {
	var files []file
	for _, path := range paths {
		about, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && (!about.Mode().IsRegular() || about.Size() > mostBytes) {
			continue // it is masked, or not what anybody has written
		}
		body, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: files of units have to be readable by the agent's user", err)
		}
		files = append(files, file{path, body})
	}
	return files, nil
}
