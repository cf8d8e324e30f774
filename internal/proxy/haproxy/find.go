package haproxy

import (
	"os/exec"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Find gives the path of the HAProxy to run: the one asked for, or haproxy on PATH or
// in /usr/sbin, which is on few users'.
func Find(asked string) (string, error) {
	if asked != "" {
		found, err := exec.LookPath(asked)
		if err != nil {
			return "", mesh.NotFound("there is no HAProxy to run at %q: %v", asked, err)
		}
		return filepath.Abs(found)
	}
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if found, err := exec.LookPath(name); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", mesh.NotFound("found no HAProxy on PATH or in /usr/sbin: install it (Debian: apt-get install haproxy), or name it with --haproxy or HEDDLE_HAPROXY")
}
