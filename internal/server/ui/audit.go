package ui

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// told explains an error that becomes a part of a page, and remembers what was
// refused, for the audit.
func (u *UI) told(r *request, err error) *problem {
	r.refused = err
	return u.explain(err)
}

// auditRefused notes that somebody was refused a write that it has no right to. err
// is what the handler answered with; what it put into a page, it told.
func (u *UI) auditRefused(ctx context.Context, r *request, err error) {
	err = cmp.Or(err, r.refused)
	if r.Method != http.MethodPost || r.User == nil || mesh.KindOf(err) != mesh.KindDenied {
		return
	}
	_, pattern, _ := strings.Cut(r.Pattern, " ")
	name, write := r.PathValue("name"), r.User.Write(r.Request)
	entry := mesh.AuditEntry{Object: "service/" + name, Reason: err.Error(), Author: write.Author, From: write.From, Source: write.Source}
	switch do, _, _ := strings.Cut(r.PostForm.Get("~do"), ":"); {
	case strings.HasPrefix(pattern, "/ui/declare/") || strings.HasSuffix(pattern, "/edit"):
		if do != "save" { // nothing was to be written yet
			return
		}
		entry.Action, name = "save", cmp.Or(name, r.PostForm.Get("name"))
		entry.Object = "service/" + name
		switch {
		case pattern == "/ui/declare/instance":
			name = r.PostForm.Get("service")
			entry.Action, entry.Object = "register", "instance/"+name+"/"+r.PostForm.Get("id")
		case strings.Contains(pattern, "route"):
			entry.Object, name = "route/"+name, ""
		}
	case strings.HasSuffix(pattern, "/delete"):
		entry.Action = "delete"
		if strings.HasPrefix(pattern, "/ui/routes/") {
			entry.Object, name = "route/"+name, ""
		}
	case strings.HasSuffix(pattern, "/remove"):
		entry.Action, entry.Object = "deregister", "instance/"+name+"/"+r.PathValue("id")
	case strings.HasSuffix(pattern, "/rollback"):
		entry.Action = "rollback"
	case strings.HasSuffix(pattern, "/callers"):
		entry.Action = "decide about a caller"
	case pattern == "/ui/drift/declare":
		name = r.PostForm.Get("caller")
		entry.Action, entry.Object = "declare a call", "service/"+name
	default:
		return
	}
	entry.Service = mesh.ServiceName(name)
	u.cfg.Registry.Refused(ctx, entry)
}
