package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// proxiesOnPage is how many proxies one page of the list has.
const proxiesOnPage = 100

// proxiesView is the list of the connected proxies.
type proxiesView struct {
	Query, State           string
	States                 []choice
	Rows                   []connectedProxy
	All, Found             int
	Page, Pages            int
	Before, After          string
	Behind, Refused, Twice int // of all
}

// connectedProxy is one proxy, whose streams are taken together.
type connectedProxy struct {
	Node, Path           string
	Service, ServicePath string
	Instance             string
	Transports           []string
	Addresses            []string
	Connected            time.Time
	Behind               time.Time // since when it lacks something; zero: it has everything
	Refusals             []proxyRefusal
	Twice                bool // another one has its id
}

// proxyRefusal is what a proxy refused, and has not got past.
type proxyRefusal struct {
	Type, Message string
	At            time.Time
	Objects       []declarationRow
}

// declarationRow is a declaration that is at fault.
type declarationRow struct {
	mesh.Origin
	Path string
}

func declarationOf(o mesh.Origin) declarationRow { return declarationRow{o, pathOf(o.Object)} }

// settling is how long a proxy may take to accept what it was sent before it
// counts as behind.
const settling = 5 * time.Second

// Chip is the proxy's state in a word.
func (r connectedProxy) Chip() chip {
	switch {
	case len(r.Refusals) > 0:
		return chip{"bad", "refused", r.Refusals[0].Message}
	case r.Behind.IsZero():
		return chip{"ok", "current", "it has accepted everything that it was sent"}
	case time.Since(r.Behind) < settling:
		return chip{"info", "updating", "it was just sent something"}
	}
	return chip{"warn", "behind", "it has not accepted what it was sent"}
}

// BehindFor says for how long, or nothing.
func (r connectedProxy) BehindFor() string {
	if r.Behind.IsZero() {
		return ""
	}
	return present.Age(max(time.Since(r.Behind), 0))
}

// rank puts what needs somebody first.
func (r connectedProxy) rank() int {
	switch {
	case len(r.Refusals) > 0:
		return 0
	case !r.Behind.IsZero():
		return 1
	case r.Twice:
		return 2
	}
	return 3
}

// joinStreams joins the streams of each node, and sorts the rows.
func joinStreams(streams []mesh.ProxyStream) []connectedProxy {
	var rows []connectedProxy
	at := map[string]int{}
	seats := map[[2]string]string{} // by node and transport: an address
	for i := range streams {
		s := &streams[i]
		place, known := at[s.Node]
		if !known {
			place = len(rows)
			at[s.Node] = place
			rows = append(rows, connectedProxy{Node: s.Node, Path: proxyPath(s.Node), Service: string(s.Service), Instance: string(s.Instance), Connected: s.Connected})
		}
		row := &rows[place]
		row.join(s)
		seat := [2]string{s.Node, s.Transport}
		if address, taken := seats[seat]; taken && address != s.Address && !strings.HasPrefix(s.Scope, "proxyless") {
			row.Twice = true
		}
		seats[seat] = s.Address
	}
	slices.SortStableFunc(rows, func(a, b connectedProxy) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), a.Behind.Compare(b.Behind), strings.Compare(a.Node, b.Node))
	})
	return rows
}

// join adds one stream of the proxy.
func (r *connectedProxy) join(s *mesh.ProxyStream) {
	if !slices.Contains(r.Transports, s.Transport) && s.Transport != "" {
		r.Transports = append(r.Transports, s.Transport)
	}
	if !slices.Contains(r.Addresses, s.Address) && s.Address != "" {
		r.Addresses = append(r.Addresses, s.Address)
	}
	if s.Connected.Before(r.Connected) {
		r.Connected = s.Connected
	}
	for _, t := range s.Types {
		if t.BehindSince.IsZero() {
			continue // what it refused once it has got past
		}
		if r.Behind.IsZero() || t.BehindSince.Before(r.Behind) {
			r.Behind = t.BehindSince
		}
		if t.Rejected != nil {
			one := proxyRefusal{Type: mesh.ResourceTypeName(t.Type), Message: t.Rejected.Message, At: t.Rejected.At}
			for _, o := range t.Rejected.Objects {
				one.Objects = append(one.Objects, declarationOf(o))
			}
			r.Refusals = append(r.Refusals, one)
		}
	}
}

// fits says whether a row has the text in its names and addresses.
func (r connectedProxy) fits(text string) bool {
	return text == "" || strings.Contains(strings.ToLower(r.Node), text) ||
		slices.ContainsFunc(r.Addresses, func(address string) bool { return strings.Contains(address, text) })
}

// is says whether a row is in the state that a filter names.
func (r connectedProxy) is(state string) bool {
	switch state {
	case "behind":
		return !r.Behind.IsZero()
	case "refused":
		return len(r.Refusals) > 0
	case "twice":
		return r.Twice
	}
	return true
}

// connected gives the connected proxies, or those that are wanted.
func (u *UI) connected(r *request, wanted func(*mesh.ProxyStream) bool) []connectedProxy {
	if u.cfg.Streams == nil {
		return nil
	}
	streams := u.authors(r).Proxies(u.cfg.Streams())
	if wanted != nil {
		streams = slices.DeleteFunc(streams, func(s mesh.ProxyStream) bool { return !wanted(&s) })
	}
	return joinStreams(streams)
}

func proxyPath(node string) string { return "/ui/proxies/" + (&url.URL{Path: node}).EscapedPath() }

func (u *UI) proxiesPage(r *request) (*answer, error) {
	query := r.URL.Query()
	view := proxiesView{Query: query.Get("q"), State: query.Get("state"), States: []choice{
		{"", "Any"}, {"behind", "Behind"}, {"refused", "Refused something"}, {"twice", "Two with one id"},
	}}
	rows := u.connected(r, nil)
	view.All = len(rows)
	text := strings.ToLower(strings.TrimSpace(view.Query))
	var found []connectedProxy
	for i := range rows {
		row := &rows[i]
		for _, one := range []struct {
			state string
			count *int
		}{{"behind", &view.Behind}, {"refused", &view.Refused}, {"twice", &view.Twice}} {
			if row.is(one.state) {
				*one.count++
			}
		}
		if row.fits(text) && row.is(view.State) {
			found = append(found, *row)
		}
	}
	view.Found, view.Pages = len(found), max(1, (len(found)+proxiesOnPage-1)/proxiesOnPage)
	asked, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	view.Page = min(max(asked, 1), view.Pages)
	view.Rows = found[min((view.Page-1)*proxiesOnPage, len(found)):min(view.Page*proxiesOnPage, len(found))]
	known := u.cfg.Catalog.View()
	for i := range view.Rows {
		if _, declared := known.Service(mesh.ServiceName(view.Rows[i].Service)); declared {
			view.Rows[i].ServicePath = pathOf("service/" + view.Rows[i].Service)
		}
	}
	if view.Page > 1 {
		view.Before = proxiesAddress(query, view.Page-1)
	}
	if view.Page < view.Pages {
		view.After = proxiesAddress(query, view.Page+1)
	}
	return &answer{Template: "proxies.html", Data: view}, nil
}

// proxiesAddress is the address of another page of the same list.
func proxiesAddress(query url.Values, page int) string {
	to := url.Values{"page": {strconv.Itoa(page)}}
	for _, name := range []string{"q", "state"} {
		if query.Get(name) != "" {
			to.Set(name, query.Get(name))
		}
	}
	return "/ui/proxies?" + to.Encode()
}
