package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const prefix = "heddle-test-"

// Of the folders of killed owners nothing stays; nobody else's is touched.
func TestFoldersThatWereLeftBehind(t *testing.T) {
	parent, elsewhere := filepath.Join(t.TempDir(), "[of *"), t.TempDir()
	if err := os.Mkdir(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	living, err := Make(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := Make(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Make(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(parent, prefix+"link")
	for _, err := range []error{
		os.WriteFile(filepath.Join(dead.Path, "key"), []byte("secret"), 0o600),
		os.Symlink(elsewhere, filepath.Join(dead.Path, "link")), // as a gateway's to its identity
		os.WriteFile(filepath.Join(elsewhere, "kept"), nil, 0o600),
		os.Symlink(elsewhere, link),
		os.WriteFile(filepath.Join(parent, prefix+"file"), nil, 0o600),
		kept.Keep(),
		dead.lock.Close(), // as the kernel does when the owner ends
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var first []string
	if found, err := Sweep(parent, prefix, func(folder string) error { first = append(first, folder); return nil }); found != 1 || err != nil || !slices.Equal(first, []string{dead.Path}) {
		t.Errorf("found %d, %q first: %v", found, first, err)
	}
	for path, want := range map[string]bool{
		kept.Path: true, living.Path: true, dead.Path: false, link: true, filepath.Join(parent, prefix+"file"): true, filepath.Join(elsewhere, "kept"): true,
	} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", path, !want, want)
		}
	}
	if err := living.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(living.Path); err == nil {
		t.Error("a folder outlives its end")
	}
}

// Many that start at once take none of each other's folders away.
func TestFoldersMadeAndSweptAtOnce(t *testing.T) {
	parent := t.TempDir()
	faults := make(chan error)
	for range 8 {
		go func() {
			var err error
			for range 100 {
				if _, err = Sweep(parent, prefix, nil); err != nil {
					break
				}
				var made *Folder
				if made, err = Make(parent, prefix); err != nil {
					break
				}
				if err = os.WriteFile(filepath.Join(made.Path, "key"), nil, 0o600); err != nil {
					break
				}
				if err = made.Close(); err != nil {
					break
				}
			}
			faults <- err
		}()
	}
	for range 8 {
		if err := <-faults; err != nil {
			t.Error(err)
		}
	}
}

// What another user put where all may write is not this user's to believe or to remove.
func TestFoldersOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make folders of another user")
	}
	parent := t.TempDir()
	theirs := filepath.Join(parent, prefix+"theirs")
	if err := errors.Join(os.Mkdir(theirs, 0o700), os.Chown(theirs, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if found, err := Sweep(parent, prefix, func(string) error { return errors.New("it is asked about") }); found != 0 || err != nil {
		t.Errorf("found %d (%v)", found, err)
	}
	if _, err := os.Lstat(theirs); err != nil {
		t.Error(err)
	}
}
