package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	servicesPath   = "/ui/services"
	servicesOnPage = 100 // how many one page of the list has
)

// servicesView is the list of services.
type servicesView struct {
	Query, Owner, Health, Sort string
	Owners                     []string
	Healths                    []choice
	Columns                    []column
	Rows                       []serviceRow
	All, Found, Page, Pages    int
	Before, After              string
	New                        bool // the reader may declare one
}

// choice is an entry of a select.
type choice struct{ Value, Name string }

// column is the head of one, which sorts by it.
type column struct {
	Name, Link  string
	Order, Sign string // aria-sort and an arrow, if the list is sorted by it
	Number      bool
}

// serviceOrders are what the list can be sorted by.
var serviceOrders = map[string]func(a, b *serviceRow) int{
	"name":      func(a, b *serviceRow) int { return strings.Compare(a.Name, b.Name) },
	"owner":     func(a, b *serviceRow) int { return strings.Compare(a.Owner, b.Owner) },
	"instances": func(a, b *serviceRow) int { return cmp.Compare(a.known, b.known) },
	"health":    func(a, b *serviceRow) int { return cmp.Compare(urgency[a.State], urgency[b.State]) },
	"calls":     func(a, b *serviceRow) int { return cmp.Compare(a.Calls, b.Calls) },
	"callers":   func(a, b *serviceRow) int { return cmp.Compare(a.CalledBy, b.CalledBy) },
	"changed":   func(a, b *serviceRow) int { return a.Changed.Compare(b.Changed) },
}

// urgency sorts what needs somebody first.
var urgency = map[healthState]int{noneHealthy: 0, noInstances: 1, someHealthy: 2, allHealthy: 3}

func (u *UI) services(r *request) (*answer, error) {
	all, query := u.all().listing(), r.URL.Query()
	view := servicesView{
		New: r.User.MayCreate(), Query: query.Get("q"), Owner: query.Get("owner"), Health: query.Get("health"), Sort: query.Get("sort"), All: len(all.services), Owners: all.owners,
		Healths: []choice{{"", "Any"}, {string(allHealthy), "Healthy"}, {string(someHealthy), "Degraded"}, {string(noneHealthy), "Down"}, {string(noInstances), "No instances"}},
	}
	text := strings.ToLower(strings.TrimSpace(view.Query))
	var found []serviceRow
	for i := range all.services {
		one := &all.services[i]
		if one.fits(text) && (view.Owner == "" || one.Owner == view.Owner) && (view.Health == "" || string(one.State) == view.Health) {
			found = append(found, *one)
		}
	}
	by, turned := strings.CutPrefix(view.Sort, "-")
	if order := serviceOrders[by]; order != nil {
		slices.SortStableFunc(found, func(a, b serviceRow) int {
			if turned {
				return order(&b, &a)
			}
			return order(&a, &b)
		})
	}
	view.Found, view.Pages = len(found), max(1, (len(found)+servicesOnPage-1)/servicesOnPage)
	asked, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	view.Page = min(max(asked, 1), view.Pages)
	view.Rows = found[min((view.Page-1)*servicesOnPage, len(found)):min(view.Page*servicesOnPage, len(found))]
	if view.Page > 1 {
		view.Before = with(servicesPath, query, "page", strconv.Itoa(view.Page-1))
	}
	if view.Page < view.Pages {
		view.After = with(servicesPath, query, "page", strconv.Itoa(view.Page+1))
	}
	view.Columns = serviceColumns(query, cmp.Or(by, "name"), turned)
	return &answer{Template: "services.html", Data: view}, nil
}

func serviceColumns(query url.Values, by string, turned bool) []column {
	columns := []column{
		{Name: "Name", Link: "name"}, {Name: "Health", Link: "health"}, {Name: "Instances", Link: "instances", Number: true}, {Name: "Owner", Link: "owner"},
		{Name: "Protocol"}, {Name: "Calls", Link: "calls", Number: true}, {Name: "Called by", Link: "callers", Number: true}, {Name: "Changed", Link: "changed"},
	}
	for i := range columns {
		one, sort := &columns[i], columns[i].Link
		if sort == "" {
			continue
		}
		switch {
		case sort == by && turned:
			one.Order, one.Sign = "descending", "↓"
		case sort == by:
			one.Order, one.Sign, sort = "ascending", "↑", "-"+sort
		case sort == "changed": // the latest first
			sort = "-" + sort
		}
		turnedTo := url.Values{}
		for key, values := range query {
			if key != "page" {
				turnedTo[key] = values
			}
		}
		one.Link = with(servicesPath, turnedTo, "sort", sort)
	}
	return columns
}

// with gives a list's address with one parameter set otherwise.
func with(path string, query url.Values, key, value string) string {
	changed := url.Values{}
	for name, values := range query {
		if len(values) > 0 && values[0] != "" && name != key {
			changed.Set(name, values[0])
		}
	}
	changed.Set(key, value)
	return path + "?" + changed.Encode()
}
