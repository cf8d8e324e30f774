package proxy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// folderPrefix begins the names of the folders that proxies run in.
const folderPrefix = "heddle-proxy-"

// Folder is a temporary folder of one proxy's own, which may hold private keys. It is
// locked for as long as its owner lives, and no longer, whatever ends the owner:
// so the next one that starts knows which folders were left behind, and systemd
// does not take the files of a long-lived one for old (tmpfiles.d(5), "Age").
type Folder struct {
	Path string
	lock *os.File // of the folder itself
}

// MakeFolder makes a folder in parent that only this user can enter.
func MakeFolder(parent string) (*Folder, error) {
	for {
		path, err := os.MkdirTemp(parent, folderPrefix) // mode 0700
		if err != nil {
			return nil, err
		}
		lock, err := lockFolder(path)
		if lock != nil || err != nil {
			return &Folder{path, lock}, err
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

// SweepFolders removes the folders in parent whose owner was killed, this user's
// alone.
func SweepFolders(parent string) error {
	paths, err := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			continue
		}
		if status, ok := info.Sys().(*syscall.Stat_t); !ok || int(status.Uid) != os.Geteuid() {
			continue
		}
		lock, err := lockFolder(path)
		if err != nil {
			errs = append(errs, err)
		}
		if lock != nil {
			errs = append(errs, (&Folder{path, lock}).Close())
		}
	}
	return errors.Join(errs...)
}
