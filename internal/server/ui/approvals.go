package ui

import (
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/internal/approvals"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// approvalsView is the page of approvals.
type approvalsView struct {
	Pending, Given, Refused []approvalRow
	Restricted              int // services that approve their callers
}

// approvalRow is one caller of one service, and whether the reader decides.
type approvalRow struct {
	approvals.Approval
	CallerPath string
	Mine       bool
	Action     string // where a decision is posted
}

func (u *UI) approvalsPage(r *request) (*answer, error) {
	all := u.all()
	var view approvalsView
	for _, one := range all.approvals() {
		callee, declared := all.view.Service(one.Callee)
		row := approvalRow{Approval: one, Mine: declared && r.User.MayChange(callee), Action: "/ui/services/" + string(one.Callee) + "/callers"}
		if !strings.Contains(one.Caller, "/") {
			row.CallerPath = pathOf("service/" + one.Caller)
		}
		switch one.State {
		case approvals.Pending:
			view.Pending = append(view.Pending, row)
		case approvals.Refused:
			view.Refused = append(view.Refused, row)
		default:
			view.Given = append(view.Given, row)
		}
	}
	for service := range all.view.Services() {
		if service.Access.Callers == mesh.ApprovedCallers {
			view.Restricted++
		}
	}
	return &answer{Template: "approvals.html", Data: view}, nil
}

// decideCaller does what the callee's owner decided.
func (u *UI) decideCaller(r *request) (*answer, error) {
	callee, caller := mesh.ServiceName(r.PathValue("name")), r.PostForm.Get("caller")
	var stored mesh.Service
	var err error
	said := "%s may call %s now."
	switch r.PostForm.Get("decision") {
	case "approve":
		stored, err = approvals.Approve(r.Context(), u.cfg.Registry, callee, caller, r.User.Write(r.Request))
	case "refuse":
		said = "%s is refused, and may not call %s."
		stored, err = approvals.Refuse(r.Context(), u.cfg.Registry, callee, caller, r.User.Write(r.Request))
	case "revoke":
		said = "The approval of %s for %s was taken back."
		stored, err = approvals.Revoke(r.Context(), u.cfg.Registry, callee, caller, r.User.Write(r.Request))
	default:
		return nil, &problem{400, "Nothing was decided", "The form says neither approve, refuse nor revoke."}
	}
	if err != nil {
		return nil, err
	}
	u.seen(r.Context(), stored.Meta.Revision)
	back := ours(r.PostForm.Get("next"))
	if back == "/ui/" {
		back = "/ui/approvals"
	}
	return done(back, fmt.Sprintf(said, caller, callee))
}
