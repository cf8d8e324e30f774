package session

import (
	"net/http"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// User is who is signed in. The nil User is nobody.
type User struct {
	// Token is the right to write; its secret is not in it.
	Token registry.Token
	// Author names the user in what is written, as the API's writes do.
	Author string
}

// Name is what the user is called on pages.
func (u *User) Name() string {
	if u.Token.Description != "" {
		return u.Token.Description
	}
	return u.Author
}

// Rights says in a few words what the user may write.
func (u *User) Rights() string {
	switch {
	case u == nil, u.Token.Kind == registry.ReaderToken:
		return "nothing"
	case u.Token.Admin():
		return "everything"
	case u.Token.Kind == registry.InstancesToken:
		return "instances of " + string(u.Token.Service)
	case u.Token.Kind == registry.KeeperToken:
		return "what " + string(u.Token.Keeper) + " keeps"
	case u.Token.Service != "":
		return "service " + string(u.Token.Service)
	}
	return "what belongs to " + strings.Join(u.Token.Owners, ", ")
}

// Admin says whether the user may write everything.
func (u *User) Admin() bool { return u != nil && u.Token.Admin() }

// MayDeclare says whether the user may change what a service declares. It is
// judged again when it is written.
func (u *User) MayDeclare(service *mesh.Service) bool {
	return u != nil && registry.MayDeclare(u.Token, service) == nil
}

// MayChange says whether the user may change what a service declares here: what a
// keeper has is changed there.
func (u *User) MayChange(service *mesh.Service) bool {
	return u.MayDeclare(service) && service.Meta.Keeper == "" && u.Token.Kind != registry.KeeperToken
}

// MayCreate says whether the user may declare services that are not there yet.
func (u *User) MayCreate() bool {
	return u != nil && u.Token.Kind == ""
}

// Write says who writes, for the registry.
func (u *User) Write(r *http.Request) registry.Write {
	return registry.Write{Author: u.Author, Source: "ui", From: r.RemoteAddr, By: u.Token}
}
