package proxy

import (
	"log/slog"
	"os"

	"github.com/heddle-mesh/heddle/internal/scratch"
)

// folderPrefix begins the names of the folders that proxies run in.
const folderPrefix = "heddle-proxy-"

// MakeFolder makes a folder for a proxy to run in, and removes those of proxies whose
// runners were killed.
func MakeFolder(log *slog.Logger) (*scratch.Folder, error) {
	parent := os.TempDir()
	if _, err := scratch.Sweep(parent, folderPrefix, nil); err != nil {
		log.Warn("what a proxy that was killed has left behind cannot be removed; it may hold private keys", "folder", parent, "error", err)
	}
	return scratch.Make(parent, folderPrefix)
}
