package hosts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What others put where all may write is not taken for what this user's demos have left.
func TestOnlyOwnFoldersAreSwept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make folders of another user")
	}
	shared := t.TempDir()
	t.Setenv("TMPDIR", shared)
	left := func(name string) string {
		path := filepath.Join(shared, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "lock"), []byte("mark"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	left(folderName + "mine")
	if err := os.Chown(left(folderName+"theirs"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(left("elsewhere"), filepath.Join(shared, folderName+"link")); err != nil {
		t.Fatal(err)
	}
	if found, err := sweep(); found != 1 || err != nil {
		t.Errorf("it swept %d (%v)", found, err)
	}
	entries, err := os.ReadDir(shared)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{"elsewhere", folderName + "link", folderName + "theirs"}; !slices.Equal(names, want) {
		t.Errorf("there are %q, to be %q", names, want)
	}
}
