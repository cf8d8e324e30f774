package ui

import "strings"

// navEntry is one place in the navigation.
type navEntry struct {
	Path, Name string
	Current    bool
	Count      int // shown beside the name; 0: nothing
}

// nav gives the navigation of a page, or nothing for whom no page is shown.
func (u *UI) nav(at string, shown bool) []navEntry {
	if !shown {
		return nil
	}
	entries := []navEntry{
		{Path: "/ui/", Name: "Overview"},
		{Path: "/ui/services", Name: "Services"},
		{Path: "/ui/routes", Name: "Routes"},
		{Path: machinesPath, Name: "Machines"},
		{Path: "/ui/topology", Name: "Topology"},
		{Path: "/ui/drift", Name: "Drift"},
		{Path: "/ui/proxies", Name: "Proxies"},
		{Path: "/ui/approvals", Name: "Approvals", Count: u.all().pending()},
		{Path: "/ui/explain", Name: "Explain"},
	}
	for i := range entries {
		one := &entries[i]
		one.Current = at == one.Path || one.Path != "/ui/" && strings.HasPrefix(at, one.Path+"/")
	}
	return entries
}
