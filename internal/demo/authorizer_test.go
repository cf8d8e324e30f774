package demo

import (
	"os"
	"path/filepath"
	"testing"
)

// What a demo leaves that is killed while it writes its secret hinders no other.
func TestASecretThatWasBegunIsWrittenAnew(t *testing.T) {
	for _, left := range []string{"authz-secret", "authz-secret.new"} {
		town := &town{folder: t.TempDir()}
		if err := os.WriteFile(filepath.Join(town.folder, left), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := town.authzSecret()
		if err != nil {
			t.Fatal(err)
		}
		secret, err := os.ReadFile(file)
		if err != nil || len(secret) < 32 {
			t.Errorf("with an empty %s: %q, %v", left, secret, err)
		}
		if _, err := town.authzSecret(); err != nil {
			t.Error(err)
		}
		if again, err := os.ReadFile(file); err != nil || string(again) != string(secret) {
			t.Errorf("the second demo in a folder has another secret: %v", err)
		}
		if _, err := os.Stat(file + ".new"); !os.IsNotExist(err) {
			t.Errorf("with an empty %s something is left beside it: %v", left, err)
		}
	}
}
