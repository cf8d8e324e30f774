package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestASessionThatEndedLosesNothing(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	token, secret, err := s.store.CreateToken(t.Context(), registry.Token{Owners: []string{"team-shop"}}, registry.Write{Author: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b := s.tab()
	b.signIn(secret)
	b.visit(editOrders)
	b.fill("#f-description", "typed for an hour")
	if err := s.store.RevokeToken(t.Context(), token.ID, registry.Write{Author: "test"}); err != nil {
		t.Fatal(err)
	}
	b.press("review", "#token")
	b.axe()
	b.picture("service-kept")
	b.fill("#token", "hdl_0123456789ab_00")
	b.run(chromedp.Submit("#token"), chromedp.WaitReady("#token-fault"))
	b.fill("#token", s.admin)
	b.run(chromedp.Submit("#token"), chromedp.WaitReady("#f-description"))
	var typed string
	b.evaluate(`document.querySelector("#f-description").value`, &typed)
	if typed != "typed for an hour" {
		t.Errorf("after signing in again the form has %q", typed)
	}
	b.press("review", `button[value="save"]`)
	b.run(chromedp.Click(`button[value="save"]`, chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if got := s.stored("orders").Description; got != "typed for an hour" {
		t.Errorf("stored is %q", got)
	}
}

// TestASlowServerKeepsNobodyFromTyping: a search is answered while checks of other
// fields are not, and what is typed before a part comes back stays.
func TestASlowServerKeepsNobodyFromTyping(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "payments"}, mesh.Service{Name: "unheard"})
	b := s.tab()
	b.signIn(s.admin)
	b.visit("/ui/declare/service")
	b.evaluate(`{
		window.held = [];
		const send = XMLHttpRequest.prototype.send;
		XMLHttpRequest.prototype.send = function(body) {
			const later = /^(check|add)/.test(new URLSearchParams(body).get("~do"));
			later ? held.push(() => send.call(this, body)) : send.call(this, body);
		};
	}`, nil)
	heldBack := func(n int) chromedp.Action {
		return chromedp.Poll(fmt.Sprintf("held.length === %d", n), nil)
	}
	b.fill("#f-name", "orders", "#f-port", "8080", "#f-dependencies-find", "pay")
	b.run(heldBack(2), chromedp.WaitReady(".offer", chromedp.ByQuery))
	b.evaluate(`document.querySelector('button[value="add-name:dependencies:payments"]').click()`, nil)
	b.run(heldBack(3))
	b.fill("#f-dependencies-find", "unheard")
	b.evaluate(`held.forEach((send) => send())`, nil)
	b.run(chromedp.WaitReady(".chosen li", chromedp.ByQuery), chromedp.Poll(`document.querySelector("#f-dependencies-find").value === "unheard"`, nil, chromedp.WithPollingTimeout(10*time.Second)))
	if got := b.text(".chosen li"); !strings.Contains(got, "payments") {
		t.Errorf("chosen is %q", got)
	}
}

func TestWhoMayNotWriteKeepsWhatWasTyped(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Owner: "team-shop"})
	theirs := s.token(registry.Token{Owners: []string{"team-web"}})
	got := s.post(theirs, editOrders, with(opened(t, s.get(theirs, editOrders).body), "description", "not mine", "~do", "save")...)
	if got.status != http.StatusForbidden || !strings.Contains(got.body, "not mine</textarea>") || !strings.Contains(got.body, "belongs to") {
		t.Errorf("%d: %s", got.status, got.body)
	}
	if s.stored("orders").Description != "" {
		t.Error("it was stored")
	}
	// Nor may one hand over what is one's own to somebody else.
	mine := s.token(registry.Token{Owners: []string{"team-shop"}})
	got = s.post(mine, editOrders, with(opened(t, s.get(mine, editOrders).body), "owner", "team-web", "~do", "save")...)
	if got.status != http.StatusForbidden {
		t.Errorf("handed over: %d", got.status)
	}
}

func TestAnOutageOfTheRegistryLosesNothing(t *testing.T) {
	where := newSite(t) // signed in there: a server knows a token that it has seen for a while yet
	store, err := where.etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := serve(t, store, where.admin)
	s.declare(mesh.Service{Name: "orders"})
	fields := with(opened(t, s.get(s.admin, editOrders).body), "description", "typed in vain", "~do", "save")
	unseen := s.token(registry.Token{})
	s.cookies[unseen] = strings.TrimPrefix(where.cookie(unseen), "Cookie: ")
	where.stopEtcd()
	for token, want := range map[string]string{s.admin: "Nothing was stored", unseen: "Try again"} {
		got := s.post(token, editOrders, fields...)
		if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "typed in vain") || !strings.Contains(got.body, want) {
			t.Errorf("%d, without %q: %s", got.status, want, got.body)
		}
	}
}

func TestFormsOfObjectsAreRefusedFromOtherSites(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"})
	for _, path := range []string{editOrders, "/ui/declare/service"} {
		got := s.call(http.MethodPost, path, "~do=save&description=evil", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Content-Type: application/x-www-form-urlencoded", s.cookie(s.admin))
		if got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := s.post("", editOrders, "~do", "save", "description", "nobody's"); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "nobody&#39;s") {
		t.Errorf("nobody: %d", got.status)
	}
}

// payload is what an attacker types into every field; it would show in the
// browser's complaints.
const payload = `"><script>alert(1)</script><img src=x onerror=alert(2)>'` + "`${alert(3)}{{.}}"

func TestNothingTypedIsTakenForHTML(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders", Owner: payload, Description: payload, Deprecated: payload, Subsets: []mesh.Subset{{Name: "v1", Labels: map[string]string{"v": payload}}}})
	b := s.tab()
	b.signIn(s.admin)
	b.visit(editOrders)
	for _, id := range []string{"f-owner", "f-description", "f-deprecated"} {
		var value string
		b.evaluate(`document.getElementById("`+id+`").value`, &value)
		if value != payload {
			t.Errorf("%s shows %q", id, value)
		}
	}
	// Into every field at once, without scripts of ours, then looked at in a page of its own.
	script, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	b.press("add-row:routes", "#f-routes-0--rewrite")
	var fields int
	b.evaluate(`(() => { const all = [...document.querySelectorAll('form.object input[type=text], form.object input[type=search], form.object textarea, form.object input[name="dependencies"]')];
		all.forEach(e => e.value = `+string(script)+`);
		document.querySelectorAll('form.object input[type=checkbox]').forEach(e => e.checked = true);
		return all.length; })()`, &fields)
	if fields < 30 {
		t.Fatalf("only %d fields were found", fields)
	}
	b.press("review", "#faults")
	var injected int
	b.evaluate(`document.querySelectorAll('main script, main img, [onerror]').length`, &injected)
	if injected != 0 {
		t.Errorf("%d elements were injected", injected)
	}
	for _, path := range []string{"/ui/services", "/ui/services?q=" + "%3Cscript%3E"} {
		b.visit(path)
	}
	// The same in the pages of a review and a clash.
	review := s.post(s.admin, editOrders, with(opened(t, s.get(s.admin, editOrders).body), "description", payload+"2", "~do", "review")...)
	s.declare(mesh.Service{Name: "orders", Description: payload + "3"})
	clash := s.post(s.admin, editOrders, with(opened(t, review.body), "~do", "save")...)
	for name, page := range map[string]string{"review": review.body, "clash": clash.body} {
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") || !strings.Contains(page, "&lt;script&gt;") {
			t.Errorf("the %s shows what was typed as HTML, or not at all", name)
		}
	}
}

// stopEtcd ends the registry's etcd; it can be called once.
func (s *site) stopEtcd() {
	s.t.Helper()
	done := make(chan struct{})
	go func() { s.etcd.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		s.t.Fatal("etcd does not end")
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.store.Service(ctx, "orders"); mesh.KindOf(err) != mesh.KindUnavailable {
		s.t.Fatalf("without etcd: %v", err)
	}
}

func TestAServiceThatOthersCallIsDeletedByForceAlone(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "orders"}, mesh.Service{Name: "web", Dependencies: []mesh.ServiceName{"orders"}})
	b := s.tab()
	b.signIn(s.admin)
	b.visit("/ui/services/orders/delete")
	if got := b.text(".notes"); !strings.Contains(got, "web of team-shop") {
		t.Errorf("who depends on it: %q", got)
	}
	b.fill("#confirm", "ordres")
	b.run(chromedp.Click("main .danger", chromedp.ByQuery), chromedp.WaitReady("#confirm-fault"))
	b.axe()
	b.picture("service-delete")
	s.stored("orders")
	b.fill("#confirm", "orders")
	b.run(chromedp.Click("main .danger", chromedp.ByQuery), chromedp.WaitReady(".notice"))
	if _, err := s.store.Service(t.Context(), "orders"); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAFormIsFilledInByKeyboardAlone(t *testing.T) {
	s := newSite(t)
	s.declare(mesh.Service{Name: "payments"})
	b := s.tab()
	b.signIn(s.admin)
	b.visit("/ui/declare/service")
	focused := func() (id string) {
		b.evaluate(`document.activeElement.id || document.activeElement.name + "=" + document.activeElement.value || document.activeElement.tagName`, &id)
		return id
	}
	tabTo := func(id string) {
		t.Helper()
		for range 60 {
			if focused() == id {
				return
			}
			b.run(chromedp.KeyEvent(kb.Tab))
		}
		t.Fatalf("the tabulator does not lead to %s; it is at %s", id, focused())
	}
	for _, one := range [][2]string{{"f-name", "orders"}, {"f-owner", "team-shop"}, {"f-protocol", "http:"}, {"f-port", "8080"}, {"f-dependencies-find", "pay"}} {
		tabTo(one[0])
		b.run(chromedp.KeyEvent(one[1]))
	}
	b.run(chromedp.WaitReady(".offer", chromedp.ByQuery))
	tabTo("~do=add-name:dependencies:payments")
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitReady(".chosen", chromedp.ByQuery))
	if got := focused(); got != "f-dependencies-find" {
		t.Errorf("after a name was added the focus is on %q", got)
	}
	b.run(chromedp.KeyEvent("ledger"+kb.Enter), chromedp.WaitReady(".chosen li:nth-child(2)", chromedp.ByQuery))
	tabTo("~do=review")
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitReady(`button[value="save"]`, chromedp.ByQuery), chromedp.KeyEvent(kb.Enter), chromedp.WaitReady(".notice"))
	want := mesh.Service{Name: "orders", Owner: "team-shop", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"payments", "ledger"}}
	if diff := cmp.Diff(want, s.stored("orders")); diff != "" {
		t.Error(diff)
	}
}
