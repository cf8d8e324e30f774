package ui

import (
	"cmp"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/picture"
)

// callsOnPage is how many rows a page of the table beside the picture has.
const callsOnPage = 100

// topologyView is the picture of the mesh, and the same as a table.
type topologyView struct {
	Focus, FocusPath string
	Depth            int
	Depths           []int
	Names            []string // of the nodes that can be focused on
	Picture          template.HTML
	Healths, States  []sign
	Nodes            int
	Calls            []callRow
	All, Found       int // calls
	State            mesh.EdgeState
	Choices          []choice
	Page, Pages      int
	Before, After    string
	SVG, Whole       string // addresses
	Open             bool   // the table
}

// sign is an entry of the legend.
type sign struct {
	Says string
	SVG  template.HTML
}

// callRow is one edge in words.
type callRow struct {
	From, To, FromPath, ToPath string
	State                      chip
	Rate, Errors, Reason       string
	LastSeen                   time.Time
}

var stateKinds = map[mesh.EdgeState]string{
	mesh.EdgeRefused: "bad", mesh.EdgeUndeclared: "bad", mesh.EdgeUnapproved: "warn", mesh.EdgePending: "warn",
	mesh.EdgeUnused: "none", mesh.EdgeSeen: "ok", mesh.EdgeDeclared: "none",
}

func (u *UI) topology(r *request) (*answer, error) {
	query := r.URL.Query()
	view, now, shown := u.cfg.Catalog.View(), time.Now(), partOf(query)
	whole, err := u.part(r.Context(), view, now, part{})
	if err != nil {
		return nil, err
	}
	t, err := u.laid(r.Context(), view, now, shown)
	if err != nil {
		return nil, err
	}
	svg, err := u.picture(r.Context(), view, now, drawing{part: shown, page: true, links: depthOf(query)})
	if err != nil {
		return nil, err
	}
	page := topologyView{
		Focus: t.Focus, Depth: depthOf(query), Depths: []int{1, 2, 3, 4, 6, 10}, Nodes: len(t.Nodes), All: len(t.Edges),
		State: mesh.EdgeState(query.Get("state")), Whole: "/ui/topology", SVG: topologyAddress("/ui/topology.svg", t.Focus, t.Depth),
		Picture: template.HTML(svg), //nolint:gosec // it escapes each name
	}
	for i := range whole.Nodes {
		one := &whole.Nodes[i]
		if one.Kind != mesh.UnknownNode {
			page.Names = append(page.Names, one.ID)
		}
		if one.ID == t.Focus && one.Kind == mesh.ServiceNode {
			page.FocusPath = "/ui/services/" + t.Focus
		}
	}
	healths, states := picture.Legend(&t)
	page.Healths, page.States = signs(healths), signs(states)
	page.table(&t, query, linksTo(page.Depth))
	return &answer{Template: "topology.html", Data: page}, nil
}

// topologyFile is the picture as a file.
func (u *UI) topologyFile(r *request) (*answer, error) {
	shown := partOf(r.URL.Query())
	svg, err := u.picture(r.Context(), u.cfg.Catalog.View(), time.Now(), drawing{part: shown})
	if err != nil {
		return nil, err
	}
	name := "mesh.svg"
	if shown.focus != "" {
		name = strings.Map(func(c rune) rune {
			if c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
				return c
			}
			return '-'
		}, shown.focus) + ".svg"
	}
	header := r.writer.Header()
	header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	return &answer{File: svg, ContentType: "image/svg+xml"}, nil
}

// depthOf is how many calls away from the focus nodes are shown.
func depthOf(query url.Values) int {
	depth, err := strconv.Atoi(query.Get("depth"))
	if err != nil {
		return 1
	}
	return min(max(depth, 1), 10)
}

func topologyAddress(path, focus string, depth int) string {
	if focus == "" {
		return path
	}
	values := url.Values{"focus": {focus}}
	if depth > 1 {
		values.Set("depth", strconv.Itoa(depth))
	}
	return path + "?" + values.Encode()
}

// linksTo gives where nodes of a picture lead to, which shows as much around them.
func linksTo(depth int) func(string) string {
	return func(focus string) string { return topologyAddress("/ui/topology", focus, depth) }
}

func signs(all []picture.Sign) []sign {
	out := make([]sign, len(all))
	for i, one := range all {
		out[i] = sign{one.Says, template.HTML(one.SVG)} //nolint:gosec // there is nothing of the mesh in it
	}
	return out
}

// table fills in the rows of a page of the table.
func (v *topologyView) table(t *mesh.Topology, query url.Values, at func(string) string) {
	there := map[mesh.EdgeState]int{}
	var found []*mesh.TopologyEdge
	for i := range t.Edges {
		e := &t.Edges[i]
		there[e.State]++
		if v.State == "" || e.State == v.State {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *mesh.TopologyEdge) int { return cmp.Compare(a.State.Urgency(), b.State.Urgency()) })
	v.Choices = []choice{{"", "Any"}}
	for _, state := range []mesh.EdgeState{mesh.EdgeRefused, mesh.EdgeUndeclared, mesh.EdgeUnapproved, mesh.EdgePending, mesh.EdgeUnused, mesh.EdgeSeen, mesh.EdgeDeclared} {
		if there[state] > 0 || state == v.State {
			v.Choices = append(v.Choices, choice{string(state), picture.Says(state) + " (" + strconv.Itoa(there[state]) + ")"})
		}
	}
	v.Found, v.Pages = len(found), max(1, (len(found)+callsOnPage-1)/callsOnPage)
	asked, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	v.Page = min(max(asked, 1), v.Pages)
	v.Open = len(t.Edges) <= 40 || query.Has("page") || v.State != ""
	to := func(page int) string {
		values := url.Values{"page": {strconv.Itoa(page)}}
		for _, name := range []string{"focus", "depth", "state"} {
			if value := query.Get(name); value != "" {
				values.Set(name, value)
			}
		}
		return "/ui/topology?" + values.Encode() + "#calls"
	}
	if v.Page > 1 {
		v.Before = to(v.Page - 1)
	}
	if v.Page < v.Pages {
		v.After = to(v.Page + 1)
	}
	for _, e := range found[(v.Page-1)*callsOnPage : min(v.Page*callsOnPage, len(found))] {
		row := callRow{From: e.From, To: e.To, FromPath: at(e.From), ToPath: at(e.To), Reason: e.Reason, LastSeen: e.LastSeen}
		row.State = chip{Kind: stateKinds[e.State], Text: picture.Says(e.State)}
		if e.Requests > 0 || e.RequestRate > 0 {
			row.Rate, row.Errors = picture.Rate(e.RequestRate), picture.Rate(e.ErrorRate)
		}
		v.Calls = append(v.Calls, row)
	}
}
