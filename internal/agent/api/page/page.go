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
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/present"
)

//go:embed page.html page.css page.js mark.svg
var files embed.FS

// Page answers. Make it with [New].
type Page struct {
	fleet    func() api.Fleet
	template *template.Template
	static   map[string]static // by name
	logger   *slog.Logger
}

// static is a file that the page loads.
type static struct {
	content           []byte
	contentType, hash string // the hash is in its address, so that browsers may keep it
}

// New makes the page of what fleet gives.
func New(fleet func() api.Fleet, logger *slog.Logger) (*Page, error) {
	p := &Page{fleet: fleet, static: map[string]static{}, logger: logger}
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
	var out bytes.Buffer
	if err := p.template.Execute(&out, contentOf(p.fleet(), r.URL.Query().Get("q"), time.Now())); err != nil {
		p.logger.Error("the page could not be made", "error", err)
		http.Error(w, "This page could not be made; the agent's log says why.", http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = w.Write(out.Bytes()) // a client that left is no error of ours
}

// content is what the page shows.
type content struct {
	Fleet             api.Fleet
	Filter            string
	Tiles             []tile
	Members           []member
	Services          []service
	AllMembers, AllOf int // members and services without the filter
}

type tile struct{ Name, Number, More, Kind string }

type member struct {
	api.Member
	Self     bool
	Kind     string // of its chip
	Seen     string
	Services []string // names, each once
	Copies   int
}

type service struct {
	api.Service
	Kind, Said string
	Ports      string
	Copies     []copied
}

type copied struct {
	api.Copy
	Kind, Said string
	Addresses  []string
	Age        string
}

func contentOf(f api.Fleet, filter string, now time.Time) content {
	c := content{Fleet: f, Filter: filter, AllMembers: len(f.Members)}
	shows := func(texts ...string) bool {
		return strings.Contains(strings.ToLower(strings.Join(texts, "\n")), strings.ToLower(strings.TrimSpace(filter)))
	}
	failed, copies, served := 0, 0, 0
	for _, m := range f.Members {
		one := memberOf(m, f.Host, now)
		if m.Status != api.MemberAlive {
			failed++
		}
		if shows(append(one.Services, m.Name, m.Address, m.Status)...) {
			c.Members = append(c.Members, one)
		}
	}
	services := f.Services()
	c.AllOf = len(services)
	down := 0
	for _, s := range services {
		copies, served = copies+len(s.Copies), served+s.Healthy
		if s.Healthy == 0 {
			down++
		}
		one := serviceOf(s, now)
		texts := []string{s.Name, string(s.MeshName), one.Ports, one.Said}
		for _, k := range one.Copies {
			texts = append(texts, k.Host, k.ID, k.Image, k.Said)
		}
		if shows(texts...) {
			c.Services = append(c.Services, one)
		}
	}
	c.Tiles = []tile{
		{"Hosts", strconv.Itoa(len(f.Members) - failed), counted(failed, "all are there", "%d lost"), kindIf(failed > 0, "bad")},
		{"Services", strconv.Itoa(len(services)), counted(down, "all are served", "%d not served"), kindIf(down > 0, "bad")},
		{"Copies", strconv.Itoa(copies), counted(copies-served, "all get requests", "%d get none"), kindIf(copies > served, "warn")},
		{"Problems", strconv.Itoa(len(f.Problems)), counted(len(f.Problems), "as far as this host can tell", "see below"), kindIf(len(f.Problems) > 0, "warn")},
	}
	return c
}

func memberOf(m api.Member, self string, now time.Time) member {
	one := member{Member: m, Self: m.Name == self, Kind: "ok", Seen: present.Age(now.Sub(m.Seen)), Copies: len(m.Services)}
	if m.Status != api.MemberAlive {
		one.Kind = "bad"
	}
	known := map[string]bool{}
	for _, s := range m.Services {
		if !known[s.Name] {
			known[s.Name] = true
			one.Services = append(one.Services, s.Name)
		}
	}
	return one
}

func serviceOf(s api.Service, now time.Time) service {
	one := service{Service: s, Kind: "ok", Said: fmt.Sprintf("%d of %d", s.Healthy, len(s.Copies))}
	switch {
	case s.Healthy == 0:
		one.Kind = "bad"
	case s.Healthy < len(s.Copies):
		one.Kind = "warn"
	}
	var ports []string
	for _, p := range s.Ports {
		ports = append(ports, strconv.Itoa(int(p)))
	}
	one.Ports = strings.Join(ports, ", ")
	for _, c := range s.Copies {
		k := copied{Copy: c, Kind: kindOf(c.Health), Said: string(c.Health)}
		if c.Lost {
			k.Kind, k.Said = "bad", "host is lost"
		}
		since := c.Created
		if since.IsZero() {
			since = c.Updated
		}
		if !since.IsZero() {
			k.Age = present.Age(now.Sub(since))
		}
		for _, p := range c.Ports {
			address := c.Address
			if p.Address.IsValid() {
				address = p.Address
			}
			text := fmt.Sprintf("%s:%d", address, p.Port)
			if p.Type == "udp" {
				text += "/udp"
			}
			k.Addresses = append(k.Addresses, text)
		}
		one.Copies = append(one.Copies, k)
	}
	return one
}

func kindOf(h hosts.Health) string {
	switch h {
	case hosts.Healthy:
		return "ok"
	case hosts.Draining:
		return "info"
	case hosts.Unhealthy:
		return "bad"
	default:
		return "none"
	}
}

func counted(n int, none, some string) string {
	if n == 0 {
		return none
	}
	if strings.Contains(some, "%") {
		return fmt.Sprintf(some, n)
	}
	return some
}

func kindIf(is bool, kind string) string {
	if is {
		return kind
	}
	return "ok"
}
