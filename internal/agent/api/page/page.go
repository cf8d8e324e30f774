package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/agent/api"
)

//go:embed page.html page.css page.js mark.svg
var files embed.FS

// Page answers. Make it with [New].
type Page struct {
	fleet    func() api.Fleet
	template *template.Template
	static   map[string]static // by name
	run      int64             // of the agent: versions are compared within it
	logger   *slog.Logger
}

// static is a file that the page loads.
type static struct {
	content           []byte
	contentType, hash string // the hash is in its address, so that browsers may keep it
}

// New makes the page of what fleet gives.
func New(fleet func() api.Fleet, logger *slog.Logger) (*Page, error) {
	p := &Page{fleet: fleet, static: map[string]static{}, run: time.Now().UnixNano(), logger: logger}
	for name, contentType := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml"} {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		p.static[name] = static{content: content, contentType: contentType, hash: hex.EncodeToString(sum[:8])}
	}
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"static": func(name string) string { return "/ui/" + name + "?v=" + p.static[name].hash },
		"join":   strings.Join,
	}).ParseFS(files, "page.html")
	if err != nil {
		return nil, err
	}
	p.template = page
	return p, nil
}

// policy lets the page load what is its own, and nothing run that is in its text.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers with the page, whole or not at all, or with one of its files.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	name := strings.TrimPrefix(r.URL.Path, "/ui/")
	if file, is := p.static[name]; is {
		header.Set("Content-Type", file.contentType)
		header.Set("Cache-Control", "no-cache")
		if r.URL.Query().Get("v") == file.hash {
			header.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		_, _ = w.Write(file.content) // a client that left is no error of ours
		return
	}
	if name != "" {
		http.Redirect(w, r, "/ui/", http.StatusFound) // Sidecar had several pages
		return
	}
	fleet, now := p.fleet(), time.Now()
	tag := p.tag(fleet, now)
	header.Set("ETag", tag)
	header.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	var out bytes.Buffer
	if err := p.template.Execute(&out, contentOf(fleet, r.URL.Query().Get("q"), now)); err != nil {
		header.Del("ETag")
		p.logger.Error("the page could not be made", "error", err)
		http.Error(w, "This page could not be made; the agent's log says why.", http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = w.Write(out.Bytes()) // a client that left is no error of ours
}

// tag names what the page shows, whatever the filter: the fleet, and how old things are,
// which is told by quarters of a minute while there was a change a moment ago.
func (p *Page) tag(f api.Fleet, now time.Time) string {
	shown := time.Minute
	if now.Sub(f.Changed) < 2*shown {
		shown /= 4
	}
	return fmt.Sprintf("\"%x-%d-%d\"", p.run, f.Version, now.Truncate(shown).Unix())
}
