package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// resourcesOnPage is how many resources of a proxy one page has.
	resourcesOnPage = 50
	// longestDump is up to how many bytes a resource is shown on the page.
	longestDump = 200_000
)

// proxyDump is one proxy, and what it has.
type proxyDump struct {
	connectedProxy
	Streams       []streamRow
	Kinds         []kindRow
	Type          string // filters
	Name          string
	Differ        bool
	Types         []choice
	Resources     []resourceRow
	Total         int
	After, Whole  string // addresses
	DifferAddress string
	Differing     int
}

// streamRow is how far one stream has come with one type.
type streamRow struct {
	Transport, Type, Sent, Acknowledged string
	Refusals                            uint64
	Chip                                chip
	Last                                *mesh.Rejection
}

// kindRow counts the resources of one type.
type kindRow struct {
	Name, Path string
	States     []chip // each with how many are in it
}

// resourceRow is one resource.
type resourceRow struct {
	mesh.ProxyResource
	Kind          string
	Chip          chip
	Because       *declarationRow
	Dump, Holding string // indented JSON
	Lines         []diffLine
	TooLong       string // why there is no dump
	Open          bool
}

// diffLine is one line of a difference.
type diffLine struct{ Kind, Text string } // Kind: added, gone, place or same

// resourceStates are the states in the order in which they need somebody.
var resourceStates = []mesh.ResourceState{
	mesh.ResourceRefused, mesh.ResourceWithheld, mesh.ResourceBehind, mesh.ResourceSent, mesh.ResourceLeaving, mesh.ResourceAbsent, mesh.ResourceSynced,
}

func stateChip(state mesh.ResourceState) chip {
	kind := map[mesh.ResourceState]string{
		mesh.ResourceSynced: "ok", mesh.ResourceRefused: "bad", mesh.ResourceWithheld: "bad", mesh.ResourceAbsent: "none", mesh.ResourceLeaving: "none",
	}[state]
	if kind == "" {
		kind = "warn"
	}
	return chip{Kind: kind, Text: string(state)}
}

func (u *UI) proxyPage(r *request) (*answer, error) {
	node, query := r.PathValue("node"), r.URL.Query()
	if u.cfg.ProxyConfig == nil {
		return nil, mesh.NotFound("no proxy is connected to this server")
	}
	view := proxyDump{Type: query.Get("type"), Name: query.Get("name"), Differ: query.Get("show") == "differs", Types: []choice{{"", "All types"}}}
	for _, name := range mesh.ResourceTypeNames() {
		view.Types = append(view.Types, choice{name, strings.ToUpper(name[:1]) + name[1:]})
	}
	typeURL, _ := mesh.ResourceType(view.Type) // what is none is all of them
	config, err := u.cfg.ProxyConfig(mesh.ProxyQuery{
		Node: node, Type: typeURL, Name: view.Name, Differ: view.Differ, Content: true, After: query.Get("after"), Limit: resourcesOnPage,
	})
	if err != nil {
		return nil, err
	}
	config = u.authors(r).ProxyConfig(config)
	rows := joinStreams(config.Streams)
	view.connectedProxy = rows[0]
	if _, declared := u.cfg.Catalog.View().Service(mesh.ServiceName(view.Service)); declared {
		view.ServicePath = pathOf("service/" + view.Service)
	}
	view.Streams, view.Total, view.Differing = streamRows(config.Streams), config.Total, config.Differing
	for _, name := range mesh.ResourceTypeNames() {
		if states := config.Counts[name]; len(states) > 0 {
			view.Kinds = append(view.Kinds, typeCount(name, states, view.Path))
		}
	}
	for i := range config.Resources {
		row := dumpOf(&config.Resources[i])
		row.Open = len(config.Resources) == 1
		view.Resources = append(view.Resources, row)
	}
	if config.Next != "" {
		view.After = proxyAddress(view.Path, query, "after", config.Next)
	}
	if query.Get("after") != "" {
		view.Whole = proxyAddress(view.Path, query, "after", "")
	}
	view.DifferAddress = view.Path + "?show=differs"
	return &answer{Template: "proxy.html", Data: view}, nil
}

// proxyAddress is the page of a proxy with one parameter set otherwise.
func proxyAddress(path string, query url.Values, name, value string) string {
	to := url.Values{}
	for _, one := range []string{"type", "name", "show", "after"} {
		if query.Get(one) != "" && one != name {
			to.Set(one, query.Get(one))
		}
	}
	if value != "" {
		to.Set(name, value)
	}
	if len(to) == 0 {
		return path
	}
	return path + "?" + to.Encode()
}

func streamRows(streams []mesh.ProxyStream) []streamRow {
	var rows []streamRow
	for i := range streams {
		for _, t := range streams[i].Types {
			row := streamRow{Transport: streams[i].Transport, Type: mesh.ResourceTypeName(t.Type), Sent: t.Sent, Acknowledged: t.Acknowledged,
				Refusals: t.Rejections, Chip: chip{Kind: "ok", Text: "up to date"}, Last: t.Rejected}
			switch {
			case !t.BehindSince.IsZero() && t.Rejected != nil:
				row.Chip = chip{Kind: "bad", Text: "refused"}
			case !t.BehindSince.IsZero():
				row.Chip = chip{Kind: "warn", Text: "behind"}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func typeCount(name string, states map[mesh.ResourceState]int, path string) kindRow {
	row := kindRow{Name: name, Path: path + "?type=" + name}
	for _, state := range resourceStates {
		if n := states[state]; n > 0 {
			one := stateChip(state)
			one.Text = fmt.Sprint(n, " ", one.Text)
			row.States = append(row.States, one)
		}
	}
	return row
}

func dumpOf(one *mesh.ProxyResource) resourceRow {
	row := resourceRow{ProxyResource: *one, Kind: mesh.ResourceTypeName(one.Type), Chip: stateChip(one.State)}
	if one.Origin != nil {
		because := declarationOf(*one.Origin)
		row.Because = &because
	}
	if size := len(one.Config) + len(one.Holds); size > longestDump {
		row.TooLong = fmt.Sprintf("It has %d kB: too much for a page.", size>>10)
		return row
	}
	row.Dump, row.Holding = indented(one.Config), indented(one.Holds)
	for line := range strings.Lines(one.Diff) {
		line = strings.TrimSuffix(line, "\n")
		kind := "same"
		switch {
		case strings.HasPrefix(line, "@@"), strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			kind = "place"
		case strings.HasPrefix(line, "+"):
			kind = "added"
		case strings.HasPrefix(line, "-"):
			kind = "gone"
		}
		row.Lines = append(row.Lines, diffLine{kind, line})
	}
	return row
}

func indented(data json.RawMessage) string {
	var out bytes.Buffer
	if len(data) == 0 || json.Indent(&out, data, "", "  ") != nil {
		return ""
	}
	return out.String()
}
