package proxy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// FindEnvoy gives the path of the Envoy to run. A path that was asked for (by
// flag or environment) has to be right; otherwise it is the first of: envoy on
// PATH; .tools/envoy/envoy, where hack/envoy.sh puts it, beside or above the
// folder of this program or the current one. One that another user could have
// put there is passed over: folders such as /tmp are above those of many.
func FindEnvoy(asked string) (string, error) {
	if asked != "" {
		if err := executable(asked); err != nil {
			return "", mesh.NotFound("there is no Envoy to run at %q: %v", asked, err)
		}
		return filepath.Abs(asked)
	}
	if found, err := exec.LookPath("envoy"); err == nil {
		return filepath.Abs(found)
	}
	passedOver := ""
	for _, start := range startFolders() {
		for folder := start; ; folder = filepath.Dir(folder) {
			tools := filepath.Join(folder, ".tools")
			candidate := filepath.Join(tools, "envoy", "envoy")
			if executable(candidate) == nil {
				if ours(tools) && ours(filepath.Dir(candidate)) && ours(candidate) {
					return candidate, nil
				}
				passedOver = fmt.Sprintf(" (%s is not taken: other users could have put it there)", candidate)
			}
			if folder == filepath.Dir(folder) {
				break
			}
		}
	}
	return "", mesh.NotFound("found no Envoy: not on PATH, and no .tools/envoy/envoy in or above this program's folder or the current one%s; "+
		"install Envoy, or run hack/envoy.sh in Heddle's checkout, or name the binary with --envoy or HEDDLE_ENVOY", passedOver)
}

// ours says whether only this user and root could have written what is there.
func ours(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	return known && (owner.Uid == 0 || int(owner.Uid) == os.Geteuid()) && info.Mode()&0o002 == 0
}

func startFolders() []string {
	var folders []string
	if self, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(self))
	}
	if current, err := os.Getwd(); err == nil {
		folders = append(folders, current)
	}
	return folders
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("it is a folder")
	}
	if info.Mode()&0o111 == 0 {
		return fmt.Errorf("it may not be executed")
	}
	return nil
}
