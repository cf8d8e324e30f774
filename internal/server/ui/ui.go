package ui

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/placement"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/session"
)

// Config has what the pages need; Registry, Catalog and Sessions are required.
type Config struct {
	Registry *registry.Store
	Catalog  *catalog.Catalog
	Sessions *session.Sessions
	// RequireReadToken shows pages only to those who are signed in.
	RequireReadToken bool
	// Problems gives what the rest of the server knows; nil: nothing.
	Problems func() []Problem
	// Streams are those of the connected proxies, and ProxyConfig tells what one of
	// them has; nil: there are none.
	Streams     func() []mesh.ProxyStream
	ProxyConfig func(mesh.ProxyQuery) (mesh.ProxyConfig, error)
	// Observed gives what the mesh's proxies saw of calls, and who is watched; nil: nothing.
	// Every page asks it: it shares what it gives (see [insight.Shared]).
	Observed func(context.Context) (insight.Observed, error)
	// Mesh is what questions about the mesh are asked of; nil: the catalog alone,
	// and what a change would change in sidecars is not told.
	Mesh func() insight.Mesh
	// Machines shares what becomes of virtual machines with others; nil: the pages' own.
	Machines *placement.Cache
	// Turns bound how many plans are made at a time; nil: the pages' own.
	Turns   *insight.Turns
	Version string       // as heddle version says it
	Logger  *slog.Logger // default: discard
}

// Problem is something wrong in the mesh, and how to mend it.
type Problem struct {
	Object  string // its kind and name
	Message string
}

// UI answers requests for pages.
type UI struct {
	cfg       Config
	logger    *slog.Logger
	mux       *http.ServeMux
	crossed   *http.CrossOriginProtection
	templates map[string]*template.Template
	files     map[string]staticFile

	overall  moment[struct{}, *overall] // of a view alone, whatever the time
	parts    moment[part, mesh.Topology]
	laidOut  moment[part, mesh.Topology]
	pictures moment[drawing, []byte]
	drifts   moment[string, mesh.Drift] // of a service, or of all
	machines atomic.Pointer[machineRows]
}

// New makes the pages; nothing is started.
func New(cfg Config) (*UI, error) {
	u := &UI{cfg: cfg, logger: cfg.Logger, mux: http.NewServeMux(), crossed: http.NewCrossOriginProtection()}
	if u.logger == nil {
		u.logger = slog.New(slog.DiscardHandler)
	}
	if u.cfg.Turns == nil {
		u.cfg.Turns = insight.NewTurns()
	}
	if u.cfg.Machines == nil {
		u.cfg.Machines = &placement.Cache{}
	}
	var err error
	if u.files, err = readStatic(); err != nil {
		return nil, err
	}
	if u.templates, err = u.readTemplates(); err != nil {
		return nil, err
	}
	u.open("GET /ui/sign-in", u.signInPage)
	u.open("POST /ui/sign-in", u.signIn)
	u.open("POST /ui/sign-out", u.signOut)
	u.open("GET /ui/oidc/start", u.oidcStart)
	u.open("GET "+session.CallbackPath, u.oidcCallback)
	u.open("POST /ui/theme", u.chooseTheme)
	u.handle("GET /ui/{$}", u.overview)
	u.handle("GET /ui/services", u.services)
	u.handle("GET /ui/services/{name}", u.service)
	u.handle("GET /ui/approvals", u.approvalsPage)
	u.handle("POST /ui/services/{name}/callers", u.decideCaller)
	u.handle("GET /ui/drift", u.drift)
	u.handle("POST /ui/drift/declare", u.declare)
	u.handle("GET /ui/topology", u.topology)
	u.handle("GET /ui/topology.svg", u.topologyFile)
	u.handle("GET /ui/explain", u.explanation)
	u.handle("GET /ui/services/{name}/impact", u.impactPage)
	u.serviceEditor().register()
	u.registerHistory()
	u.handle("GET /ui/routes", u.routes)
	u.routeEditor().register()
	u.instanceEditor().register()
	u.form("GET /ui/services/{name}/instances/{id}/remove", u.removeInstancePage)
	u.form("POST /ui/services/{name}/instances/{id}/remove", u.removeInstance)
	u.handle("GET "+machinesPath, u.machinesPage)
	u.handle("GET /ui/proxies", u.proxiesPage)
	u.handle("GET /ui/proxies/{node...}", u.proxyPage)
	u.mux.HandleFunc("GET /ui/static/", u.static)
	u.open("/ui/", u.nothingHere)
	return u, nil
}

// policy lets a page load what is ours, and nothing that stands in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers one request.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if err := u.crossed.Check(r); err != nil {
		u.logger.Warn("a form of another site was refused", "path", r.URL.Path, "origin", r.Header.Get("Origin"), "remote", r.RemoteAddr)
		u.fail(w, &request{Request: r}, &problem{http.StatusForbidden, "This came from another site", "The form was sent by a page of another site, so nothing was done. If it was you, open the page here and try again."})
		return
	}
	u.mux.ServeHTTP(w, r)
}

// seen waits until the catalog knows what was written at a revision, so that the
// next page shows it; not for long, for what was written is written.
func (u *UI) seen(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for u.cfg.Catalog.View().Revision() < revision {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
