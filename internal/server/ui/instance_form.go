package ui

import (
	"cmp"
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

// byHand is an instance that somebody registers, and for how long: nobody renews it.
type byHand struct {
	mesh.Instance
	TTL mesh.Duration `json:"ttl,omitempty"`
}

// handTime is how long an instance that is registered by hand stays by default.
const handTime = time.Hour

// instanceEditor is the form that registers an instance.
func (u *UI) instanceEditor() *editor[byHand] {
	return &editor[byHand]{
		u: u, noun: "instance", pages: "/ui/services", newOnly: true,
		items: func(*request, *byHand) []form.Item { return instanceFields },
		name:  func(i *byHand) string { return string(i.Service) },
		meta:  func(i *byHand) *mesh.Meta { return &i.Meta },
		read: func(context.Context, string) (byHand, error) {
			return byHand{}, mesh.NotFound("no instance is edited")
		},
		write: func(ctx context.Context, i byHand, w registry.Write) (byHand, error) {
			stored, err := u.cfg.Registry.Register(ctx, []mesh.Instance{i.Instance}, cmp.Or(i.TTL.Std(), handTime), w)
			switch {
			case mesh.ReasonOf(err) == mesh.ReasonExists:
				return i, mesh.Invalid("it cannot be registered", mesh.Faults{{Path: "id", Message: "is registered already: choose another, or remove that instance first"}})
			case err != nil:
				return i, err
			}
			return byHand{Instance: stored[0]}, nil
		},
		create: func(user *session.User) error {
			if user.Token.Kind == registry.ReaderToken {
				return mesh.Denied("you may write %s", user.Rights())
			}
			return nil
		},
		check: func(i *byHand) mesh.Faults {
			faults := i.Validate()
			if d := i.TTL.Std(); d != 0 && (d < 2*time.Second || d > 24*time.Hour) {
				faults.Add("ttl", "%s is out of range: use 2s to 24h", i.TTL)
			}
			return faults
		},
		look: func(*byHand) form.Look { return u.lookFor("") },
		review: func(i *byHand) []note {
			notes := []note{{"info", "It leaves after " + mesh.Duration(cmp.Or(i.TTL.Std(), handTime)).String() + ", for nobody renews it. heddle proxy registers an instance for as long as it runs."}}
			if _, declared := u.cfg.Catalog.View().Service(i.Service); !declared {
				notes = append(notes, note{"warn", "Nobody has declared service " + string(i.Service) + "."})
			}
			return notes
		},
	}
}

var instanceFields = []form.Item{
	{Kind: form.Section, Label: "Where it is", Items: []form.Item{
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Text, Path: "service", Label: "Service", Example: "orders", Needed: true},
			{Kind: form.Text, Path: "id", Label: "ID", Example: "orders-1", Needed: true, Hint: "Unique among the instances of its service."},
		}},
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Text, Path: "address", Label: "IP address", Example: "10.0.0.7", Needed: true, Hint: "Where callers reach it: its sidecar, if it has one."},
			{Kind: form.Whole, Path: "port", Label: "Port", Needed: true},
		}},
	}},
	{Kind: form.Section, Label: "How long it stays", Hint: "An instance lives as long as its lease; one that is registered by hand is not renewed.", Items: []form.Item{
		{Kind: form.Duration, Path: "ttl", Label: "For", Example: "1h", Hint: "From 2s to 24h."},
	}},
	{Kind: form.Section, Label: "More about it", Items: []form.Item{
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Text, Path: "locality.region", Label: "Region", Example: "westeurope"},
			{Kind: form.Text, Path: "locality.zone", Label: "Zone", Example: "1"},
			{Kind: form.Whole, Path: "weight", Label: "Weight", Example: "1", Hint: "Its share of the traffic."},
		}},
		{Kind: form.Labels, Path: "labels", Label: "Labels", Example: "version=v2", Hint: "key=value, one a line; for subsets."},
		{Kind: form.Choice, Path: "health", Label: "Health", Choices: options("", "Default: healthy", "healthy", "healthy", "draining", "draining: gets nothing new", "unhealthy", "unhealthy: gets nothing")},
		{Kind: form.Flag, Path: "mtls", Label: "Its sidecar has an identity and takes mutual TLS"},
	}},
}

// removeInstancePage asks before an instance is removed; removeInstance does it.
func (u *UI) removeInstancePage(r *request) (*answer, error) {
	if err := u.cfg.Registry.InstancesRight(r.Context(), r.User.Token, mesh.ServiceName(r.PathValue("name"))); err != nil {
		return nil, err
	}
	return u.removal(r, formPage{}), nil
}

func (u *UI) removal(r *request, page formPage) *answer {
	service, id := r.PathValue("name"), r.PathValue("id")
	page.Noun, page.Name, page.Path = "instance", id, r.URL.Path
	page.Back, page.From = "/ui/services/"+service, service
	for _, one := range u.cfg.Catalog.View().Instances(mesh.ServiceName(service)) {
		if string(one.ID) == id {
			page.Meta, page.Base = one.Meta, one.Epoch
		}
	}
	if !u.authors(r).Of("instance/" + service) {
		page.Meta.Author = ""
	}
	page.Gone = page.Meta.Revision == 0
	return &answer{Template: "delete.html", Data: page, Status: page.Status}
}

func (u *UI) removeInstance(r *request) (*answer, error) {
	if r.again {
		return u.removeInstancePage(r)
	}
	key := mesh.InstanceKey{Service: mesh.ServiceName(r.PathValue("name")), ID: mesh.InstanceID(r.PathValue("id"))}
	err := u.cfg.Registry.InstancesRight(r.Context(), r.User.Token, key.Service)
	epoch := r.PostForm.Get("~base")
	if now := u.removal(r, formPage{}).Data.(formPage).Base; err == nil && epoch == "" && now != "" { //nolint:forcetypeassert // removal's
		err = mesh.Conflict("the form does not say which registration it was opened with")
	}
	if err == nil {
		err = u.cfg.Registry.Deregister(r.Context(), key, epoch, r.User.Write(r.Request))
	}
	if err != nil {
		p := u.told(r, err)
		return u.removal(r, formPage{Status: p.Status, Title: p.Title, Problem: capital(p.Detail) + "."}), nil
	}
	u.seenNow(r.Context())
	return done("/ui/services/"+string(key.Service), "Instance "+string(key.ID)+" is removed.")
}

// seenNow waits until the catalog knows all that is stored now.
func (u *UI) seenNow(ctx context.Context) {
	if revision, err := u.cfg.Registry.Revision(ctx); err == nil {
		u.seen(ctx, revision)
	}
}
