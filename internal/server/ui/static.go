package ui

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// staticFile is a file that pages load.
type staticFile struct {
	content     []byte
	contentType string
	hash        string // of the content; in its address, so that browsers may keep it
}

// readStatic reads them, by their names below static.
func readStatic() (map[string]staticFile, error) {
	files := map[string]staticFile{}
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		sum := sha256.Sum256(content)
		one := staticFile{content: content, hash: hex.EncodeToString(sum[:8])}
		one.contentType = cmp.Or(contentTypes[path.Ext(name)], "text/plain; charset=utf-8")
		files[strings.TrimPrefix(name, "static/")] = one
		return err
	})
	return files, err
}

// static answers with a file. One that is asked for with its hash never changes.
func (u *UI) static(w http.ResponseWriter, r *http.Request) {
	file, is := u.files[strings.TrimPrefix(r.URL.Path, "/ui/static/")]
	if !is {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Content-Type", file.contentType)
	header.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == file.hash {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(file.content) // a client that left is no error of ours
}
