package session

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// mostCookie is how large a cookie browsers keep for certain, less its attributes.
const mostCookie = 3800 // bytes

// person is what a cookie keeps of somebody who signed in at the provider.
type person struct {
	Author string    `json:"a"`
	Name   string    `json:"n,omitempty"`
	Owners []string  `json:"o,omitempty"`
	Admin  bool      `json:"d,omitempty"`
	Ends   time.Time `json:"e"`
}

// claims reads who somebody is, and which owners' things are theirs to write: a group
// is an owner if something belongs to it, or [OIDC.Owners] names it.
func (c *OIDC) claims(token *oidc.IDToken, owned map[string]bool) (person, error) {
	var said struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		Name     string `json:"name"`
	}
	_ = token.Claims(&said) // what is of another form counts as not said
	if !said.Verified {     // not said, too: it might be anybody's
		said.Email = ""
	}
	var all map[string]json.RawMessage
	if err := token.Claims(&all); err != nil {
		return person{}, mesh.Denied("the provider's ID token cannot be read")
	}
	who := person{Author: "oidc:" + plain(cmp.Or(said.Email, token.Subject)), Name: plain(cmp.Or(said.Name, said.Email, token.Subject))}
	reads := false
	for _, value := range texts(all[c.OwnersClaim]) {
		who.Admin = who.Admin || slices.Contains(c.Admins, value)
		reads = reads || slices.Contains(c.Readers, value)
		if value != "" && (owned[value] || slices.Contains(c.Owners, value)) {
			who.Owners = append(who.Owners, value)
		}
	}
	switch {
	case who.Admin:
		who.Owners = nil // everything is more than that
	case c.OnlyKnown && len(who.Owners) == 0 && !reads:
		return person{}, mesh.Denied("the provider knows you as %s, and this mesh is not open to everybody whom it knows: nothing in it belongs to a group of yours (claim %q). Ask whoever runs the mesh for an owner's group, or for one of its readers", who.Author, c.OwnersClaim)
	}
	return who, nil
}

// texts reads a claim that is one text or a list of them.
func texts(raw json.RawMessage) []string {
	var list []string
	var one string
	switch {
	case json.Unmarshal(raw, &list) == nil:
		return list
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}
	}
	return nil
}

// plain keeps what is shown of somebody on one short line.
func plain(text string) string {
	return mesh.Cut(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text), 200)
}

// keep has the browser keep who signed in, encrypted.
func (s *Sessions) keep(w http.ResponseWriter, r *http.Request, who person) error {
	kept, err := s.sealer.seal(r.Context(), s.cfg.OIDC.purpose(), who)
	if err != nil {
		return err
	}
	if len(kept) > mostCookie {
		return mesh.Denied("the provider says that you have %d owners (claim %q), more than a cookie holds: leave some of these groups, or sign in with an access token", len(who.Owners), s.cfg.OIDC.OwnersClaim)
	}
	s.setCookie(w, r, sessionCookie, kept, sessionTime, http.SameSiteStrictMode)
	s.endCookie(w, r, tokenCookie)
	return nil
}

// user is what the person may do. Whoever owns nothing may write nothing: without
// owners a token would be an admin's.
func (p *person) user() *User {
	token := registry.Token{ID: p.Author, Description: p.Name, Owners: p.Owners}
	if !p.Admin && len(p.Owners) == 0 {
		token.Kind = registry.ReaderToken
	}
	return &User{Token: token, Author: p.Author}
}
