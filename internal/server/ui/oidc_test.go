package ui_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

func TestSigningInAtAProviderInABrowser(t *testing.T) {
	p := newProvider(t)
	p.groups = []string{"team-money", "team-shop", "everybody"}
	s := newSite(t, p.use)
	shop(s)
	b := s.tab()
	b.inspect("/ui/sign-in", "sign-in-oidc")
	b.shape(1000, "light")
	b.visit("/ui/approvals")
	b.run(chromedp.Click(".who a.button", chromedp.ByQuery), chromedp.WaitReady("#token"))
	b.run(chromedp.Click(`a[href^="/ui/oidc/start"]`, chromedp.ByQuery), chromedp.WaitReady(".user-name"))
	b.run(chromedp.WaitReady(`button[value="approve"]`))
	if at, who, may := b.at(), b.text(".user-name"), b.text(".user-rights"); at != "/ui/approvals" || who != "Ada Lovelace" || may != "may write what belongs to team-money, team-shop" {
		t.Errorf("at %s, the header says %q, %q", at, who, may)
	}
	b.run(chromedp.Click(`button[value="approve"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	stored, err := s.store.Service(t.Context(), "payments")
	if err != nil || stored.Meta.Author != "oidc:ada@example.com" {
		t.Errorf("the author is %q, %v", stored.Meta.Author, err)
	}
	b.run(chromedp.Click(`form[action="/ui/sign-out"] button`, chromedp.ByQuery), chromedp.WaitReady(`.who a[href^="/ui/sign-in"]`))
	if got := b.text(".who"); !strings.Contains(got, "Sign in") {
		t.Errorf("after signing out the header says %q", got)
	}
}

func TestTheClaimsSayWhatMayBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		groups any
		change map[string]any
		want   string // what the header says
		write  int    // the status of approving a caller of payments, which is team-money's
		author string
	}{
		"an owner":            {[]string{"team-money"}, nil, "may write what belongs to team-money", 303, "oidc:ada@example.com"},
		"one as text":         {"team-money", nil, "may write what belongs to team-money", 303, "oidc:ada@example.com"},
		"another owner":       {[]string{"team-shop"}, nil, "may write what belongs to team-shop", 403, ""},
		"everybody's group":   {[]string{"everybody"}, nil, "may write nothing", 403, ""},
		"a team's and that":   {[]string{"everybody", "team-money"}, nil, "may write what belongs to team-money", 303, "oidc:ada@example.com"},
		"a new team":          {[]string{"team-new"}, nil, "may write what belongs to team-new", 403, ""},
		"an admin":            {[]string{"a", "mesh-admins"}, nil, "may write everything", 303, "oidc:ada@example.com"},
		"no groups":           {[]string{}, nil, "may write nothing", 403, ""},
		"no claim":            {nil, nil, "may write nothing", 403, ""},
		"empty groups":        {[]string{"", "\x00"}, nil, "may write nothing", 403, ""},
		"another form":        {map[string]any{"team-money": true}, nil, "may write nothing", 403, ""},
		"numbers":             {[]int{1, 2}, nil, "may write nothing", 403, ""},
		"an unverified email": {[]string{"team-money"}, map[string]any{"email_verified": false}, "may write what belongs to team-money", 303, "oidc:00u1"},
		"an email of anybody": {[]string{"team-money"}, map[string]any{"email_verified": nil}, "may write what belongs to team-money", 303, "oidc:00u1"},
		"no email":            {[]string{"team-money"}, map[string]any{"email": nil}, "may write what belongs to team-money", 303, "oidc:00u1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.groups, p.owners = c.groups, []string{"team-new"}
			p.change = func(claims map[string]any) {
				for key, value := range c.change {
					claims[key] = value
				}
			}
			s := newSite(t, p.use)
			shop(s)
			kept, back := p.begin(s, "/ui/approvals")
			got := s.call("GET", back, "", "Cookie: "+kept)
			if got.status != 200 || !strings.Contains(got.body, "0;url=/ui/approvals") {
				t.Fatalf("%d %s", got.status, got.body)
			}
			cookie := sessionOf(got)
			if body := s.call("GET", "/ui/", "", "Cookie: "+cookie).body; !strings.Contains(body, c.want+"<") {
				t.Errorf("the header does not say %q", c.want)
			}
			done := s.call("POST", "/ui/services/payments/callers", "caller=orders&decision=approve", "Content-Type: application/x-www-form-urlencoded", "Cookie: "+cookie)
			if done.status != c.write {
				t.Errorf("writing: %d, want %d: %s", done.status, c.write, done.body)
			}
			if stored, err := s.store.Service(t.Context(), "payments"); err != nil || c.author != "" && stored.Meta.Author != c.author {
				t.Errorf("the author is %q, %v", stored.Meta.Author, err)
			}
			if api := s.call("GET", "/api/v1/audit", "", "Cookie: "+cookie); api.status != http.StatusUnauthorized {
				t.Errorf("the API takes the cookie: %d", api.status)
			}
		})
	}
}

// Each answer of the provider, or of somebody who plays it, that must not sign anybody in.
func TestWhatSignsNobodyIn(t *testing.T) {
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*provider, map[string]any) {
		return func(_ *provider, claims map[string]any) { claims[name] = value }
	}
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("0b3c1a52-2d3e-4f5a-8b6c-%012d", i))
	}
	p := newProvider(t)
	p.groups, p.owners = []string{"mesh-admins"}, many
	s := newSite(t, p.use)
	for name, c := range map[string]struct {
		claims func(*provider, map[string]any)
		query  func(url.Values)
		cookie func(string) string
		signer *rsa.PrivateKey
		want   string
	}{
		"another state":         {query: func(q url.Values) { q.Set("state", strings.Repeat("a", 43)) }, want: "state"},
		"no state":              {query: func(q url.Values) { q.Del("state") }, want: "state"},
		"no cookie":             {cookie: func(string) string { return "" }, want: "not begun in this browser"},
		"a cookie of nobody":    {cookie: func(string) string { return "heddle_sign_in=AAAA" }, want: "not begun in this browser"},
		"another provider":      {query: func(q url.Values) { q.Set("iss", "https://evil.example") }, want: "another provider"},
		"a refusal":             {query: func(q url.Values) { q.Set("error", "access_denied") }, want: "access_denied"},
		"an unknown code":       {query: func(q url.Values) { q.Set("code", "stolen") }, want: "does not take the code"},
		"another nonce":         {claims: claim("nonce", "another"), want: "nonce"},
		"no nonce":              {claims: claim("nonce", nil), want: "nonce"},
		"another audience":      {claims: claim("aud", "somebody-else"), want: "audience"},
		"another issuer":        {claims: claim("iss", "https://evil.example"), want: "issue"},
		"an expired token":      {claims: claim("exp", time.Now().Add(-time.Minute).Unix()), want: "expired"},
		"a token of later":      {claims: claim("nbf", time.Now().Add(time.Hour).Unix()), want: "cannot be believed"},
		"another key":           {signer: another, want: "cannot be believed"},
		"more owners than room": {claims: claim("groups", many), want: "more than a cookie holds"},
	} {
		t.Run(name, func(t *testing.T) {
			p.signer, p.change = p.key, func(map[string]any) {}
			if c.signer != nil {
				p.signer = c.signer
			}
			if c.claims != nil {
				p.change = func(claims map[string]any) { c.claims(p, claims) }
			}
			kept, back := p.begin(s, "/ui/")
			if c.cookie != nil {
				kept = c.cookie(kept)
			}
			if c.query != nil {
				at, err := url.Parse(back)
				if err != nil {
					t.Fatal(err)
				}
				query := at.Query()
				c.query(query)
				back = at.Path + "?" + query.Encode()
			}
			got := s.call("GET", back, "", "Cookie: "+kept)
			if got.status != http.StatusForbidden || sessionOf(got) != "" || !strings.Contains(got.body, c.want) {
				t.Errorf("%d, session %q, want %q in: %s", got.status, sessionOf(got), c.want, got.body)
			}
		})
	}
}

func TestAnAnswerOfTheProviderServesOnce(t *testing.T) {
	p := newProvider(t)
	p.groups = "mesh-admins"
	s := newSite(t, p.use)
	kept, back := p.begin(s, "/ui/")
	first := s.call("GET", back, "", "Cookie: "+kept)
	if sessionOf(first) == "" {
		t.Fatal(first.body)
	}
	ended := false
	for _, one := range first.header.Values("Set-Cookie") {
		ended = ended || strings.HasPrefix(one, "heddle_sign_in=;") && strings.Contains(one, "Max-Age=0")
	}
	if !ended {
		t.Error("the browser keeps what it began with")
	}
	if again := s.call("GET", back, "", "Cookie: "+kept); again.status != http.StatusForbidden || sessionOf(again) != "" {
		t.Errorf("the same answer again: %d, %q", again.status, sessionOf(again))
	}
	// One sign-in's answer with what another browser began with.
	_, stolen := p.begin(s, "/ui/")
	other, _ := p.begin(s, "/ui/")
	if got := s.call("GET", stolen, "", "Cookie: "+other); got.status != http.StatusForbidden || sessionOf(got) != "" {
		t.Errorf("another browser's answer: %d, %q", got.status, sessionOf(got))
	}
}

func TestALongWayBackDoesNotKeepAnybodyOut(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p.use)
	for next, want := range map[string]string{"/ui/services?q=" + strings.Repeat("a", 1000): "/ui/services?q=aaa", "/ui/services?q=" + strings.Repeat("<", 4000): `/ui/"`} {
		kept, back := p.begin(s, next)
		if len(kept) > 4000 { // browsers drop what has more than 4096 bytes with its attributes
			t.Errorf("the cookie has %d bytes", len(kept))
		}
		if got := s.call("GET", back, "", "Cookie: "+kept); sessionOf(got) == "" || !strings.Contains(got.body, "0;url="+want) {
			t.Errorf("%d, it does not lead to %s: %s", got.status, want, got.body)
		}
	}
}

func TestASessionThatWasChangedIsNobodys(t *testing.T) {
	p := newProvider(t)
	p.groups = "team-shop"
	s := newSite(t, p.use)
	kept, back := p.begin(s, "https://evil.example/")
	got := s.call("GET", back, "", "Cookie: "+kept)
	cookie := sessionOf(got)
	if !strings.Contains(got.body, `0;url=/ui/"`) {
		t.Errorf("it leads elsewhere: %s", got.body)
	}
	if body := s.call("GET", "/ui/", "", "Cookie: "+cookie).body; !strings.Contains(body, "Ada Lovelace") {
		t.Fatal("nobody is signed in")
	}
	for _, wrong := range []string{cookie[:len(cookie)-2] + "AA", cookie + "A", "heddle_oidc=" + strings.TrimPrefix(kept, "heddle_sign_in=")} {
		if got := s.call("GET", "/ui/", "", "Cookie: "+wrong); got.status != 200 || strings.Contains(got.body, "Ada Lovelace") || !strings.Contains(got.body, "Sign in") {
			t.Errorf("a changed cookie: %d", got.status)
		}
	}
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Max-Age=28800"} {
		if all := strings.Join(got.header.Values("Set-Cookie"), "\n"); !strings.Contains(all, want) {
			t.Errorf("the cookies lack %s: %s", want, all)
		}
	}
	// Another server of the mesh opens what the first one sealed, and a token takes its place.
	another := newSiteOn(t, s, p.use)
	if body := another.call("GET", "/ui/", "", "Cookie: "+cookie).body; !strings.Contains(body, "Ada Lovelace") {
		t.Error("another server of the mesh does not know the session")
	}
	replaced := s.call("POST", "/ui/sign-in", "token="+s.token(registry.Token{Description: "Bob"}), "Content-Type: application/x-www-form-urlencoded", "Cookie: "+cookie)
	if all := strings.Join(replaced.header.Values("Set-Cookie"), "\n"); !strings.Contains(all, "heddle_oidc=;") {
		t.Errorf("signing in with a token leaves the other session: %s", all)
	}
}

// A proxy takes the TLS off: what the browser keeps is for TLS all the same.
func TestBehindAProxyWithTLSCookiesAreForTLS(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, func(c *ui.Config) {
		cfg := p.config()
		cfg.RedirectURL = "https://mesh.example.com" + session.CallbackPath
		c.Sessions = session.New(session.Config{Registry: c.Registry, OIDC: cfg, Owners: owners(c)})
	})
	kept, back := p.begin(s, "/ui/")
	got := s.call("GET", strings.TrimPrefix(back, "https://mesh.example.com"), "", "Cookie: "+kept)
	all := got.header.Values("Set-Cookie")
	if len(all) != 3 { // the session, and the end of the two others
		t.Errorf("%d %q", got.status, all)
	}
	for _, one := range append(all, kept+"; Secure") {
		if !strings.HasPrefix(one, "__Host-heddle_") || !strings.Contains(one, "; Secure") {
			t.Errorf("the cookie %q", one)
		}
	}
	cookie, _, _ := strings.Cut(all[len(all)-2], ";")
	if body := s.call("GET", "/ui/", "", "Cookie: "+cookie).body; !strings.Contains(body, "Ada Lovelace") {
		t.Errorf("with %.30q nobody is signed in", cookie)
	}
}

func TestAProviderThatIsAwayIsSaid(t *testing.T) {
	p := newProvider(t)
	p.url = "http://127.0.0.1:1"
	s := newSite(t, p.use)
	if got := s.get("", "/ui/oidc/start"); got.status != http.StatusBadGateway || !strings.Contains(got.body, "Access tokens work meanwhile") {
		t.Errorf("%d %s", got.status, got.body)
	}
	plain := newSite(t)
	for _, path := range []string{"/ui/oidc/start", "/ui/oidc/callback?code=a&state=b"} {
		if got := plain.get("", path); got.status != http.StatusNotFound {
			t.Errorf("%s without a provider: %d", path, got.status)
		}
	}
}

func TestWhereReadingNeedsASignInNotEverybodyGetsOne(t *testing.T) {
	for name, c := range map[string]struct {
		groups any
		open   bool
		in     bool
	}{
		"an owner":             {[]string{"team-shop"}, false, true},
		"a new owner":          {[]string{"team-new"}, false, true},
		"everybody's group":    {[]string{"everybody"}, false, false},
		"an admin":             {[]string{"mesh-admins"}, false, true},
		"a reader":             {[]string{"mesh-readers"}, false, true},
		"nobody":               {[]string{}, false, false},
		"nobody without claim": {nil, false, false},
		"nobody, all may read": {nil, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.groups, p.onlyKnown, p.owners, p.readers = c.groups, !c.open, []string{"team-new"}, []string{"mesh-readers"}
			s := newSite(t, p.use, func(c *ui.Config) { c.RequireReadToken = p.onlyKnown })
			s.declare(mesh.Service{Name: "orders"}) // team-shop's
			kept, back := p.begin(s, "/ui/")
			got := s.call("GET", back, "", "Cookie: "+kept)
			if in := sessionOf(got) != ""; in != c.in || !in && (got.status != http.StatusForbidden || !strings.Contains(got.body, "not open to everybody")) {
				t.Errorf("%d, signed in: %v: %s", got.status, in, got.body)
			}
		})
	}
}

func TestASessionEndsWithTheConfigurationThatItWasJudgedBy(t *testing.T) {
	p := newProvider(t)
	p.groups = "team-shop"
	s := newSite(t, p.use)
	kept, back := p.begin(s, "/ui/")
	cookie := sessionOf(s.call("GET", back, "", "Cookie: "+kept))
	for name, change := range map[string]func(*session.OIDC){
		"nothing": func(*session.OIDC) {}, "issuer": func(o *session.OIDC) { o.Issuer += "/other" }, "client": func(o *session.OIDC) { o.ClientID = "other" },
		"claim": func(o *session.OIDC) { o.OwnersClaim = "teams" }, "owners": func(o *session.OIDC) { o.Owners = []string{"a"} }, "admins": func(o *session.OIDC) { o.Admins = nil }, "readers": func(o *session.OIDC) { o.Readers = []string{"a"} },
	} {
		other := newSiteOn(t, s, func(c *ui.Config) {
			cfg := p.config()
			change(cfg)
			c.Sessions = session.New(session.Config{Registry: c.Registry, OIDC: cfg, Owners: owners(c)})
		})
		if in := strings.Contains(other.call("GET", "/ui/", "", "Cookie: "+cookie).body, "Ada Lovelace"); in != (name == "nothing") {
			t.Errorf("with another %s the session lasts: %v", name, in)
		}
	}
}
