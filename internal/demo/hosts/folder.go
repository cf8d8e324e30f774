package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/dockerd"
)

// folderName is short, for there are sockets below it.
const folderName = "heddle-hosts-"

// folder is where a demo has its files. Its lock is held by the demo alone, not by what it
// starts: whoever gets it knows that the demo is gone.
type folder struct {
	path string
	lock *os.File
}

func newFolder(mark string) (folder, error) {
	path, err := os.MkdirTemp("", folderName)
	if err != nil {
		return folder{}, fmt.Errorf("make the demo's folder: %w", err)
	}
	lock, err := locked(path, os.O_CREATE)
	if err == nil {
		_, err = lock.WriteString(mark)
	}
	if err != nil {
		return folder{}, errors.Join(fmt.Errorf("make the demo's folder: %w", err), os.RemoveAll(path))
	}
	return folder{path, lock}, nil
}

// locked gives the file that holds the lock, with the mark of the demo's processes in it.
func locked(path string, flags int) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// sweep removes what demos have left that were killed, and gives how many those were.
func sweep() (int, error) {
	found := 0
	var faults []error
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), folderName+"*")) // the pattern is right
	for _, path := range folders {
		if !own(path) {
			continue
		}
		lock, err := locked(path, 0)
		if err != nil {
			continue // a demo that runs, or kept logs
		}
		found++
		mark, err := os.ReadFile(lock.Name())
		if err == nil && len(mark) > 0 {
			for _, pid := range stage.Leftovers(stage.Launcher{Mark: string(mark)}.EnvironmentMark()) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // fails only if it has ended
			}
		}
		faults = append(faults, err, dockerd.Sweep(path), os.RemoveAll(path), lock.Close())
	}
	return found, errors.Join(faults...)
}

// own says whether a folder was made by this user: in a place where all may write, root is
// not told by others what to end and to remove.
func own(path string) bool {
	about, err := os.Lstat(path)
	if err != nil || !about.IsDir() {
		return false
	}
	of, known := about.Sys().(*syscall.Stat_t)
	return known && int(of.Uid) == os.Getuid()
}

// keepLogs leaves nothing in the folder but logs.
func (f folder) keepLogs() error {
	entries, err := os.ReadDir(f.path)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".log") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(f.path, entry.Name())))
		}
	}
	return errors.Join(err, f.lock.Close())
}

func (f folder) remove() error { return errors.Join(os.RemoveAll(f.path), f.lock.Close()) }
