package ui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/admission"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// serviceEditor is the form of services.
func (u *UI) serviceEditor() *editor[mesh.Service] {
	return &editor[mesh.Service]{
		u: u, noun: "service", pages: "/ui/services", units: []string{"endpoints"},
		items: func(r *request, stored *mesh.Service) []form.Item {
			return serviceFields(u.ownerField(r, stored.Owner), stored.Name != "")
		},
		name: func(s *mesh.Service) string { return string(s.Name) },
		meta: func(s *mesh.Service) *mesh.Meta { return &s.Meta },
		read: byName(u.cfg.Registry.Service), write: u.cfg.Registry.PutService, remove: writtenByName(u.cfg.Registry.DeleteService),
		owner: func(s *mesh.Service) string { return s.Owner },
		revision: func(ctx context.Context, name string) (int64, error) {
			return presentRevision(u.cfg.Registry.ServiceHistory(ctx, mesh.ServiceName(name)))
		},
		broken: func(ctx context.Context, r *request, name string) (*answer, error) {
			return u.absent(ctx, r, mesh.ServiceName(name))
		},
		create: mayDeclare,
		change: func(user *session.User, name string) error {
			if stored, known := u.cfg.Catalog.View().Service(mesh.ServiceName(name)); known {
				return cmp.Or(registry.MayDeclare(user.Token, stored), keptElsewhere(stored.Meta.Keeper))
			}
			return nil
		},
		hurt:   u.hurtWithout,
		check:  func(s *mesh.Service) mesh.Faults { return admission.Service(u.cfg.Catalog.View(), s) },
		look:   func(s *mesh.Service) form.Look { return u.lookFor(s.Name) },
		review: u.reviewService,
		plan:   func(s mesh.Service) mesh.PlanRequest { return mesh.PlanRequest{Services: []mesh.Service{s}} },
	}
}

// keptElsewhere refuses to change what a keeper has.
func keptElsewhere(keeper mesh.Keeper) error {
	if keeper == "" {
		return nil
	}
	return mesh.ConflictBecause(mesh.ReasonKept, "it is kept by %s, and changed there, %s", keeper, keeper.Where())
}

// mayDeclare refuses whoever may declare nothing at all.
func mayDeclare(user *session.User) error {
	if user.MayCreate() {
		return nil
	}
	return mesh.Denied("you may write %s, and no declarations", user.Rights())
}

// ownerField offers the owners that somebody may write for.
func (u *UI) ownerField(r *request, now string) form.Item {
	item := form.Item{Kind: form.Text, Path: "owner", Label: "Owner", Example: "team-shop", Needed: true, Suggest: "owners", Hint: "The team or person who answers for it."}
	if r.User.Admin() {
		for _, owner := range u.all().listing().owners {
			item.Choices = append(item.Choices, form.Option{Value: owner, Label: owner})
		}
		return item
	}
	owners := slices.Clone(r.User.Token.Owners)
	if now != "" && !slices.Contains(owners, now) {
		owners = append(owners, now)
	}
	if len(owners) == 0 {
		return item
	}
	item.Kind, item.Suggest, item.Hint = form.Choice, "", "The team or person who answers for it: one of those that you may write for."
	if now == "" && len(owners) > 1 {
		item.Choices = options("", "Choose…")
	}
	for _, owner := range owners {
		item.Choices = append(item.Choices, form.Option{Value: owner, Label: owner})
	}
	return item
}

// foundAtMost is how many names a search offers.
const foundAtMost = 8

// lookFor tells about the names of services in a list of the service self.
func (u *UI) lookFor(self mesh.ServiceName) form.Look {
	return func(path, query string, names []string) (listed, found []form.Listed) {
		view, all := u.cfg.Catalog.View(), u.all().listing()
		tell := func(name string) form.Listed {
			one := form.Listed{Name: name, Kind: "ok"}
			if strings.HasPrefix(name, "gateway/") {
				return one
			}
			service, known := view.Service(mesh.ServiceName(name))
			switch {
			case !known && path == "dependencies":
				one.Kind, one.Note = "warn", "pending: nobody has declared it"
			case !known:
				one.Kind, one.Note = "warn", "nobody has declared it"
			case service.Deprecated != "":
				one.Kind, one.Note = "warn", "deprecated"
			case path == "dependencies" && service.Access.Refuses(string(self)):
				one.Kind, one.Note = "warn", "its owner has refused this service"
			case path == "dependencies" && !service.Access.Admits(string(self)):
				one.Kind, one.Note = "info", "its owner has to approve"
			}
			return one
		}
		for _, name := range names {
			listed = append(listed, tell(name))
		}
		query = strings.ToLower(strings.TrimSpace(query))
		if query == "" {
			return listed, nil
		}
		for _, begins := range []bool{true, false} { // what begins with it comes first
			for i := range all.services {
				one := &all.services[i]
				if len(found) < foundAtMost && strings.HasPrefix(one.Name, query) == begins && one.fits(query) && !slices.Contains(names, one.Name) {
					offered := tell(one.Name)
					offered.Note = strings.Join(slices.DeleteFunc([]string{one.Owner, offered.Note}, func(s string) bool { return s == "" }), " · ")
					found = append(found, offered)
				}
			}
		}
		return listed, found
	}
}

// reviewService tells what is to be known before a service is stored.
func (u *UI) reviewService(s *mesh.Service) []note {
	view := u.cfg.Catalog.View()
	find := func(name mesh.ServiceName) *mesh.Service {
		if name == s.Name {
			return s
		}
		service, _ := view.Service(name)
		return service
	}
	var notes []note
	for _, one := range mesh.ServiceWarnings(s, find) {
		notes = append(notes, note{"warn", one.Message})
	}
	for _, name := range s.Dependencies {
		switch callee := find(name); {
		case callee == nil:
			notes = append(notes, note{"info", fmt.Sprintf("%q is pending: nobody has declared it, and calls to it get 503 until somebody does.", name)})
		case callee.Access.Refuses(string(s.Name)):
			notes = append(notes, note{"warn", fmt.Sprintf("%q does not want to be called by %q: its owner, %s, has refused it.", name, s.Name, callee.Owner)})
		case !callee.Access.Admits(string(s.Name)):
			notes = append(notes, note{"info", fmt.Sprintf("%q is called by those alone whom its owner, %s, has approved, and %q is not yet.", name, callee.Owner, s.Name)})
		}
	}
	return notes
}

// hurtWithout tells who depends on a service.
func (u *UI) hurtWithout(name string) []note {
	view := u.cfg.Catalog.View()
	var notes []note
	for _, one := range view.Dependents(mesh.ServiceName(name)) {
		if caller, known := view.Service(one); known && string(one) != name {
			notes = append(notes, note{"warn", fmt.Sprintf("%s of %s declares that it calls it: its calls would get 503.", one, caller.Owner)})
		}
	}
	for _, one := range view.RoutesTo(mesh.ServiceName(name)) {
		notes = append(notes, note{"warn", fmt.Sprintf("Route %s of %s leads to it: its clients would get 503.", one.Name, one.Owner)})
	}
	return notes
}

func revisionText(revision int64) string { return strconv.FormatInt(revision, 10) }
