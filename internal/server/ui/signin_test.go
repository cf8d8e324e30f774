package ui_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/session"
	"github.com/heddle-mesh/heddle/internal/server/ui"
)

func TestSigningInAndOutInABrowser(t *testing.T) {
	s := newSite(t)
	b := s.tab()
	b.inspect("/ui/sign-in", "sign-in")
	b.shape(1000, "light")
	b.visit("/ui/services?q=orders")
	b.run(chromedp.Click(".who a.button", chromedp.ByQuery), chromedp.WaitReady("#token"))
	b.run(chromedp.SendKeys("#token", "hdl_0123456789ab_00"), chromedp.Submit("#token"), chromedp.WaitReady("#token-fault"))
	b.axe()
	b.run(chromedp.SendKeys("#token", s.token(registry.Token{Description: "Ada, on call", Owners: []string{"team-shop", "team-web"}})), chromedp.Submit("#token"), chromedp.WaitReady(".user-name"))
	if at := b.at(); at != "/ui/services?q=orders" {
		t.Errorf("signing in led to %s", at)
	}
	if who, may := b.text(".user-name"), b.text(".user-rights"); who != "Ada, on call" || may != "may write what belongs to team-shop, team-web" {
		t.Errorf("the header says %q, %q", who, may)
	}
	b.run(chromedp.Click(`form[action="/ui/sign-out"] button`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if got := b.text(".who"); !strings.Contains(got, "Sign in") {
		t.Errorf("after signing out the header says %q", got)
	}
}

func TestATokenIsTheOnlyWayIn(t *testing.T) {
	s := newSite(t)
	admin := s.post("", "/ui/sign-in", "token", s.admin, "next", "/ui/services")
	cookie := admin.header.Get("Set-Cookie")
	if admin.status != http.StatusSeeOther || admin.header.Get("Location") != "/ui/services" {
		t.Fatalf("%d to %s", admin.status, admin.header.Get("Location"))
	}
	for _, want := range []string{"heddle_session=", "Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=28800"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q lacks %s", cookie, want)
		}
	}
	if strings.Contains(cookie, s.admin) {
		t.Error("the cookie holds the access token as it is")
	}
	if got := s.call(http.MethodGet, "/ui/", "", "Cookie: heddle_session="+s.admin); strings.Contains(got.body, "Sign out") {
		t.Error("an access token in place of the cookie signs in")
	}
	for _, wrong := range []string{"", "hdl_", "x", s.admin + "0", strings.Repeat("a", 5000)} {
		got := s.post("", "/ui/sign-in", "token", wrong)
		if got.status != http.StatusUnprocessableEntity || got.header.Get("Set-Cookie") != "" {
			t.Errorf("signing in with %.20q: %d, cookie %q", wrong, got.status, got.header.Get("Set-Cookie"))
		}
		if wrong != "" && strings.Contains(got.body, wrong) && len(wrong) > 4 {
			t.Errorf("the page shows the secret that was typed")
		}
	}
}

func TestARevokedTokenIsOutAtOnce(t *testing.T) {
	s := newSite(t)
	token, secret, err := s.store.CreateToken(t.Context(), registry.Token{Description: "Bob"}, registry.Write{Author: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.get(secret, "/ui/"); !strings.Contains(got.body, "Bob") || !strings.Contains(got.body, "may write everything") {
		t.Fatal("the header does not say who is signed in")
	}
	if err := s.store.RevokeToken(t.Context(), token.ID, registry.Write{Author: "test"}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.get(secret, "/ui/").body, "Bob") {
		t.Error("a revoked token is still signed in")
	}
}

// The browser may keep the cookie for longer than it was told to.
func TestASignInWithATokenLastsEightHours(t *testing.T) {
	var later atomic.Int64 // nanoseconds
	s := newSite(t, func(c *ui.Config) {
		c.Sessions = session.New(session.Config{Registry: c.Registry, Clock: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	})
	for after, in := range map[time.Duration]bool{0: true, 8*time.Hour - time.Minute: true, 8*time.Hour + time.Minute: false} {
		cookie := s.cookie(s.admin)
		later.Store(int64(after))
		if got := s.call(http.MethodGet, "/ui/", "", cookie); strings.Contains(got.body, "Sign out") != in {
			t.Errorf("after %s signed in is %t", after, !in)
		}
		later.Store(0)
	}
}

func TestACookieOfATokenIsTakenOnlyAsItWasGiven(t *testing.T) {
	s := newSite(t)
	cookie := s.cookie(s.admin)
	for name, wrong := range map[string]string{
		"changed": cookie[:len(cookie)-4] + "AAAA", "longer": cookie + "A", "cut off": cookie[:40], "of another kind": strings.Replace(cookie, "heddle_session=", "heddle_oidc=", 1),
	} {
		if got := s.call(http.MethodGet, "/ui/", "", wrong); got.status != http.StatusOK || strings.Contains(got.body, "Sign out") {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := newSiteOn(t, s).call(http.MethodGet, "/ui/", "", cookie); !strings.Contains(got.body, "Sign out") {
		t.Error("another server of the mesh does not know the cookie")
	}
}

func TestOnlyReadersSeePagesWhenReadingNeedsAToken(t *testing.T) {
	s := newSite(t, func(c *ui.Config) { c.RequireReadToken = true })
	for path, want := range map[string]string{
		"/ui/":                          "/ui/sign-in",
		"/ui/services?q=a&sort=name":    "/ui/sign-in?next=" + url.QueryEscape("/ui/services?q=a&sort=name"),
		"/ui/services/orders":           "/ui/sign-in?next=" + url.QueryEscape("/ui/services/orders"),
		"/ui/nothing":                   "/ui/sign-in?next=%2Fui%2Fnothing",
		"/ui/services/../../etc/passwd": "",
	} {
		got := s.get("", path)
		if to := got.header.Get("Location"); want != "" && (got.status != http.StatusSeeOther || to != want) || strings.Contains(got.body, "Services") {
			t.Errorf("%s: %d to %q, want %q", path, got.status, to, want)
		}
	}
	for path, want := range map[string]int{"/ui/sign-in": 200, "/ui/static/app.css": 200, "/ui/static/nothing": 404} {
		if got := s.get("", path); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
	if got := s.get(s.admin, "/ui/services"); got.status != 200 {
		t.Errorf("signed in: %d", got.status)
	}
}

func TestNobodyIsLedElsewhere(t *testing.T) {
	s := newSite(t)
	for _, next := range []string{
		"https://evil.example/", "//evil.example/ui/", "/\\evil.example", "/ui/\\evil", "javascript:alert(1)", "/api/v1/services", "/ui/../docs", "/ui/%2e%2e/docs",
		"http:/ui/", " /ui/", "/ui/\r\nSet-Cookie: a=b", "/ui//evil.example", "ui/", "https:evil.example", "/uix",
	} {
		for _, got := range []reply{s.post("", "/ui/sign-in", "token", s.admin, "next", next), s.post("", "/ui/theme", "theme", "dark", "next", next), s.get(s.admin, "/ui/sign-in?next="+url.QueryEscape(next))} {
			if to := got.header.Get("Location"); got.status != http.StatusSeeOther || to != "/ui/" {
				t.Errorf("next=%q leads to %q (%d)", next, to, got.status)
			}
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	s := newSite(t)
	for name, headers := range map[string][]string{
		"another site":      {"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"},
		"another port":      {"Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:1"},
		"an older browser":  {"Origin: https://evil.example"},
		"a sandboxed frame": {"Origin: null"},
	} {
		for _, path := range []string{"/ui/sign-in", "/ui/sign-out", "/ui/theme"} {
			got := s.call(http.MethodPost, path, "token="+s.admin+"&theme=dark", append(headers, "Content-Type: application/x-www-form-urlencoded", s.cookie(s.admin))...)
			if got.status != http.StatusForbidden || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %s: %d, cookies %q", name, path, got.status, got.header.Values("Set-Cookie"))
			}
		}
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/ui/", "/ui/services", "/ui/sign-in", "/ui/nothing/here", "/ui/services/", "/ui/static/app.css"} {
		got := s.get("", path)
		policy := got.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is loose: %s", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := got.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if !strings.HasPrefix(path, "/ui/static/") && (got.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html")) {
			t.Errorf("%s: %q, %q", path, got.header.Get("Cache-Control"), got.header.Get("Content-Type"))
		}
	}
}

func TestTheRootLeadsToThePages(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/ui"} {
		if got := s.get("", path); got.header.Get("Location") != "/ui/" {
			t.Errorf("%s leads to %q", path, got.header.Get("Location"))
		}
	}
}

func TestTheThemeIsChosenWithoutScripts(t *testing.T) {
	s := newSite(t)
	b := s.tab()
	b.visit("/ui/services")
	background := func() (colour string) {
		b.evaluate(`getComputedStyle(document.body).backgroundColor`, &colour)
		return colour
	}
	light := background()
	b.run(chromedp.Click(`button[name="theme"][value="dark"]`, chromedp.ByQuery), chromedp.WaitReady(`html[data-theme="dark"]`, chromedp.ByQuery))
	if dark := background(); dark == light {
		t.Errorf("dark is %s like light", dark)
	}
	if at := b.at(); at != "/ui/services" {
		t.Errorf("choosing led to %s", at)
	}
	b.shape(1000, "dark")
	b.run(chromedp.Click(`button[name="theme"][value="light"]`, chromedp.ByQuery), chromedp.WaitReady(`html[data-theme="light"]`, chromedp.ByQuery))
	if again := background(); again != light {
		t.Errorf("light on a dark system is %s, not %s", again, light)
	}
}
