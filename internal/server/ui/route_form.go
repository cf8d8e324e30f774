package ui

import (
	"fmt"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// routeEditor is the form of routes of gateways.
func (u *UI) routeEditor() *editor[mesh.Route] {
	return &editor[mesh.Route]{
		u: u, noun: "route", pages: "/ui/routes", listed: true, units: []string{"match"},
		items: func(r *request, stored *mesh.Route) []form.Item {
			return routeFields(u.ownerField(r, stored.Owner), stored.Name != "")
		},
		name: func(r *mesh.Route) string { return string(r.Name) },
		meta: func(r *mesh.Route) *mesh.Meta { return &r.Meta },
		read: byName(u.cfg.Registry.Route), write: u.cfg.Registry.PutRoute, remove: writtenByName(u.cfg.Registry.DeleteRoute),
		owner: func(r *mesh.Route) string { return r.Owner },
		create: func(user *session.User) error {
			if user.MayCreate() && user.Token.Service != "" {
				return mesh.Denied("you may write %s, and no routes", user.Rights())
			}
			return mayDeclare(user)
		},
		change: func(user *session.User, name string) error {
			stored, known := u.cfg.Catalog.View().Route(mesh.RouteName(name))
			if !known {
				return nil
			}
			if user.Admin() || user.Token.Owns(stored.Owner) {
				return keptElsewhere(stored.Meta.Keeper)
			}
			return mesh.Denied("route %s belongs to %q, and you may write %s", name, stored.Owner, user.Rights())
		},
		plan:  func(r mesh.Route) mesh.PlanRequest { return mesh.PlanRequest{Routes: []mesh.Route{r}} },
		check: func(r *mesh.Route) mesh.Faults { return r.Validate() },
		look:  func(*mesh.Route) form.Look { return u.lookFor("") },
		review: func(r *mesh.Route) []note {
			view := u.cfg.Catalog.View()
			find := func(name mesh.ServiceName) *mesh.Service {
				service, _ := view.Service(name)
				return service
			}
			var notes []note
			for _, one := range mesh.RouteWarnings(r, find) {
				notes = append(notes, note{"warn", one.Message})
			}
			for _, name := range r.Services() {
				if find(name) == nil {
					notes = append(notes, note{"info", fmt.Sprintf("Nobody has declared %q yet.", name)})
				}
			}
			return notes
		},
	}
}

// routeFields is the form of a route.
func routeFields(owner form.Item, fixedName bool) []form.Item {
	return []form.Item{
		{Kind: form.Section, Label: "What it is", Items: []form.Item{
			{Kind: form.Text, Path: "name", Label: "Name", Example: "shop", Needed: true, Fixed: fixedName, Hint: "Lower-case letters, digits and hyphens."},
			owner,
			{Kind: form.Lines, Path: "hosts", Label: "Hosts", Example: "shop.example.com", Needed: true, Hint: "Host names, one a line; *.example.com stands for all below one."},
			{Kind: form.Lines, Path: "gateways", Label: "Gateways", Example: "edge", Hint: "Those that serve it, one a line (heddle proxy --gateway NAME). Empty: all."},
		}},
		{Kind: form.Section, Label: "Where to", Hint: "Services behind it, by weight, or a redirect.", Items: []form.Item{
			{Kind: form.List, Path: "backends", Label: "Services", One: "Service", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "service", Label: "Service", Example: "web", Needed: true},
					{Kind: form.Text, Path: "subset", Label: "Subset", Hint: "Empty: all instances."},
					{Kind: form.Whole, Path: "weight", Label: "Weight", Needed: true},
				}},
			}},
			{Kind: form.Optional, Path: "redirect", Label: "Answer with a redirect instead", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Choice, Path: "scheme", Label: "Scheme", Choices: options("", "As asked for", "http", "http", "https", "https")},
					{Kind: form.Text, Path: "host", Label: "Host", Example: "www.example.com", Hint: "Empty: as asked for."},
					{Kind: form.Whole, Path: "port", Label: "Port"},
					{Kind: form.Text, Path: "path", Label: "Path", Example: "/new"},
					{Kind: form.Choice, Path: "status", Label: "Status", Numeric: true, Choices: options("", "Default: 302", "301", "301: for good", "302", "302", "303", "303", "307", "307", "308", "308: for good")},
				}},
			}},
		}},
		{Kind: form.Section, Label: "Refusal and order", Items: []form.Item{
			{Kind: form.Whole, Path: "refuse", Label: "Answer with a status instead", Example: "404", Hint: "From 400 to 599, instead of services."},
			{Kind: form.Whole, Path: "order", Label: "Order", Hint: "Of routes that match as exactly the one with the lower number is tried first."},
			{Kind: form.Checks, Path: "schemes", Label: "Over", Hint: "None: https on gateways that have certificates, and else http.", Choices: options("http", "http", "https", "https")},
		}},
		{Kind: form.Section, Path: "match", Label: "Which requests", Hint: "Nothing: every request to its hosts.", Items: matchFields()},
		{Kind: form.Section, Label: "Who is let in", Items: []form.Item{
			{Kind: form.Optional, Path: "auth", Label: "Only who proves who they are", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "provider", Label: "Provider", Example: "staff", Needed: true, Hint: "A name in --edge-config of the AuthZ service."},
					{Kind: form.Text, Path: "audience", Label: "Audience", Hint: "Default: one of those in that file."},
				}},
			}},
			{Kind: form.Optional, Path: "rateLimit", Label: "Bound its requests: those above it get 429", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Whole, Path: "requests", Label: "Requests", Needed: true},
					{Kind: form.Duration, Path: "per", Label: "In each", Example: "1s"},
					{Kind: form.Whole, Path: "burst", Label: "At once", Hint: "Default: as many as requests."},
				}},
			}},
			{Kind: form.Flag, Path: "plainHTTP", Label: "Serve it over plain HTTP too, also on gateways that have certificates"},
		}},
		{Kind: form.Section, Label: "Traffic", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Duration, Path: "timeout", Label: "Timeout", Hint: "Default: the service's own."},
				{Kind: form.Text, Path: "rewrite", Label: "Rewrite the path to", Hint: "Replaces the prefix that matched, or the whole of an exact path."},
				{Kind: form.Text, Path: "rewriteHost", Label: "Rewrite the host to", Example: "shop.internal", Hint: "Default: the service's own, or the client's."},
			}},
			{Kind: form.Flag, Path: "wholePath", Label: "Replace the whole path, also where a prefix or an expression matched"},
			{Kind: form.Optional, Path: "requestHeaders", Label: "Change the headers of requests", Items: headerFields()},
			{Kind: form.Optional, Path: "responseHeaders", Label: "Change the headers of answers", Items: headerFields()},
			{Kind: form.Optional, Path: "mirror", Label: "Send a copy to another service", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "service", Label: "Service", Needed: true, Hint: "Its answers are thrown away."},
					{Kind: form.Text, Path: "subset", Label: "Subset", Hint: "Empty: all instances."},
					{Kind: form.Decimal, Path: "percent", Label: "Percent of the requests", Example: "100"},
				}},
			}},
		}},
	}
}

// headerFields are a change of headers.
func headerFields() []form.Item {
	return []form.Item{
		{Kind: form.Labels, Path: "set", Label: "Set", Example: "x-team=shop", Hint: "Instead of what they had, one a line."},
		{Kind: form.Labels, Path: "add", Label: "Add", Example: "x-team=shop", Hint: "To what there is, one a line."},
		{Kind: form.Lines, Path: "remove", Label: "Take out", Example: "x-team", Hint: "Their names, one a line."},
	}
}
