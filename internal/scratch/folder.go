// Package scratch makes temporary folders that do not outlive their owners for long: what
// one that was killed has left, the next one removes.
//
// Main type: [Folder].
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Folder is a temporary folder of one owner's own, which may hold private keys. It is
// locked for as long as its owner lives, and no longer, whatever ends the owner:
// so the next one that starts knows which folders were left behind, and systemd
// does not take the files of a long-lived one for old (tmpfiles.d(5), "Age").
type Folder struct {
	Path string
	lock *os.File // of the folder itself
}

// Make makes a folder in parent that only this user can enter. prefix begins its name.
func Make(parent, prefix string) (*Folder, error) {
	for {
		path, err := os.MkdirTemp(parent, prefix) // mode 0700
		if err != nil {
			return nil, err
		}
		lock, err := lockFolder(path)
		if err != nil {
			return nil, errors.Join(err, os.Remove(path))
		}
		if lock != nil {
			return &Folder{path, lock}, nil
		}
		// Another's sweep took it, before it was locked, for one that was left behind.
	}
}

// lockFolder locks a folder; nil: it is another's, or gone.
func lockFolder(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // gone is no error
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil //nolint:nilnil // so is another's
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	locked, err := lock.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Lstat(path); err == nil && os.SameFile(locked, there) {
			return lock, nil
		}
	}
	lock.Close()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return nil, nil //nolint:nilnil // it was removed just before
}

// Close removes the folder.
func (f *Folder) Close() error {
	return errors.Join(os.RemoveAll(f.Path), f.lock.Close())
}

// keptFile is in folders that are kept.
const keptFile = "kept"

// Keep leaves the folder to whoever looks into it, and to no sweep.
func (f *Folder) Keep() error {
	err := os.WriteFile(filepath.Join(f.Path, keptFile), []byte("It was not left behind: something failed.\n"), 0o600)
	return errors.Join(err, f.lock.Close())
}

// Sweep removes the folders in parent whose owner was killed, this user's alone: others
// may write there, too. first, if given, ends what else such an owner has left. It says how
// many there were.
func Sweep(parent, prefix string, first func(folder string) error) (found int, err error) {
	entries, _ := os.ReadDir(parent) // what cannot be read has nothing that can be swept
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(parent, entry.Name())
		if !strings.HasPrefix(entry.Name(), prefix) || !own(path) {
			continue
		}
		lock, err := lockFolder(path)
		if err != nil {
			errs = append(errs, err)
		}
		if lock == nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(path, keptFile)); err == nil {
			lock.Close()
			continue
		}
		found++
		if first != nil {
			errs = append(errs, first(path))
		}
		errs = append(errs, (&Folder{path, lock}).Close())
	}
	return found, errors.Join(errs...)
}

// own says whether something is a folder that was made by this user.
func own(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(status.Uid) == os.Geteuid()
}
