package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// fleet is one that a test changes, and that an agent's API answers of.
type fleet struct {
	mu      sync.Mutex
	state   *hosts.State  // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next change
}

func (f *fleet) set(change func(*hosts.State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := hosts.State{Fleet: "prod", Self: "one"}
	if f.state != nil {
		next.Version = f.state.Version + 1
	}
	change(&next)
	if f.changed != nil {
		close(f.changed)
	}
	f.state, f.changed = &next, make(chan struct{})
}

func (f *fleet) now() (*hosts.State, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.changed
}

type watch struct {
	fleet *fleet
	seen  *hosts.State
}

func (w *watch) Wait(ctx context.Context) (*hosts.State, error) {
	for {
		state, changed := w.fleet.now()
		if state != w.seen {
			w.seen = state
			return state, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (*watch) Close() {}

// serve answers as an agent does, with the page.
func (f *fleet) serve(t *testing.T) string {
	t.Helper()
	state := func() *hosts.State { s, _ := f.now(); return s }
	server := api.New(api.Config{
		State: state, Watch: func() api.Watch { return &watch{fleet: f} }, Ready: func() bool { return true }, Page: handler(t, state), Logger: slog.New(slog.DiscardHandler),
	})
	listening := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		listening.CloseClientConnections() // streams do not end by themselves
		listening.Close()
	})
	return listening.URL
}

// open opens the page in a browser; what the browser complains about fails the test.
func open(t *testing.T, url string) context.Context {
	t.Helper()
	path := os.Getenv("HEDDLE_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	if path == "" {
		t.Skip("no Chromium: run hack/system.sh chromium, or name one in HEDDLE_CHROMIUM")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute))...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	var mu sync.Mutex
	var complaints []string
	chromedp.ListenTarget(ctx, func(event any) {
		said := ""
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			if e.Entry.Source != cdplog.SourceNetwork { // the agent is ended while the page is open
				said = fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			said = e.ExceptionDetails.Error()
		case *cdppage.EventJavascriptDialogOpening:
			said = "a script was injected that says " + e.Message
		case *runtime.EventConsoleAPICalled:
			args, _ := json.Marshal(e.Args)
			said = string(args)
		}
		if said != "" {
			mu.Lock()
			defer mu.Unlock()
			complaints = append(complaints, said)
		}
	})
	run(t, ctx, cdplog.Enable(), chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url+"/ui/"), chromedp.WaitReady("main"))
	t.Cleanup(func() { // before the browser ends
		mu.Lock()
		defer mu.Unlock()
		for _, one := range complaints {
			t.Errorf("the browser complained: %s", one)
		}
	})
	return ctx
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) { //nolint:revive // t comes first in tests
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func shows(t *testing.T, ctx context.Context, selector, want string) { //nolint:revive // t comes first in tests
	t.Helper()
	heddletest.Eventually(t, fmt.Sprintf("%s to say %q", selector, want), func() error {
		var text string
		if err := chromedp.Run(ctx, chromedp.Text(selector, &text, chromedp.ByQuery)); err != nil {
			return err // the page may have replaced it just then
		}
		if !strings.Contains(text, want) {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
}

func sick(s *hosts.State) {
	s.Hosts = []hosts.Host{
		{Name: "one", Services: []hosts.Service{{ID: "a", Name: "orders", Health: hosts.Unhealthy, Reason: "the pool is exhausted", Ports: []hosts.Port{{Port: 1, ServicePort: 9001}}}}},
		{Name: "two", Status: hosts.Failed, Seen: time.Now(), Services: []hosts.Service{{ID: "b", Name: "basket"}}},
	}
}

// The page follows the fleet, says first what is wrong, and keeps to the filter.
func TestThePageFollowsTheFleet(t *testing.T) {
	f := &fleet{}
	f.set(func(s *hosts.State) { s.Hosts = []hosts.Host{{Name: "one"}} })
	url := f.serve(t)
	ctx := open(t, url)
	shows(t, ctx, "#live", "live")
	shows(t, ctx, "#found", "No host runs a service yet")

	f.set(sick)
	shows(t, ctx, ".rows", "no copy is ready: unhealthy on one (the pool is exhausted)")
	shows(t, ctx, ".rows", "this host has not answered")
	shows(t, ctx, ".copies", "host is lost")

	run(t, ctx, chromedp.SendKeys("#q", "basket"))
	shows(t, ctx, "#services", "1 of 2")
	f.set(func(s *hosts.State) {
		sick(s)
		s.Hosts[1].Status = hosts.Alive
	})
	shows(t, ctx, ".copies", "1 of 1 ready")
	shows(t, ctx, "#services", "1 of 2")
	var at string
	run(t, ctx, chromedp.Location(&at))
	if at != url+"/ui/?q=basket" {
		t.Errorf("it is at %s", at)
	}
}

// A name of any length and content is text, and makes no page wider than its window.
func TestHostileNamesAreTextInABrowser(t *testing.T) {
	f := &fleet{}
	f.set(func(s *hosts.State) {
		*s = *everythingIs(hostile + strings.Repeat("W", 300))
		s.Hosts = append(s.Hosts, hosts.Host{Name: strings.Repeat("x", 200), Status: hosts.Failed})
		s.Hosts[0].Services[0].Reason = hostile
	})
	ctx := open(t, f.serve(t))
	shows(t, ctx, "#live", "live")
	shows(t, ctx, "h3", "<script>alert(1)</script>")
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 400, 760, 1280} {
			var wide bool
			run(t, ctx, chromedp.EmulateViewport(width, 900), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
				chromedp.Evaluate(`document.documentElement.scrollWidth > window.innerWidth`, &wide))
			if wide {
				t.Errorf("the page is wider than a window of %d px", width)
			}
		}
	}
}

// Without scripts the page is whole, and its filter a form.
func TestThePageNeedsNoScripts(t *testing.T) {
	f := &fleet{}
	f.set(sick)
	url := f.serve(t)
	ctx := open(t, url)
	run(t, ctx, emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(url+"/ui/"), chromedp.WaitVisible(".filter button"))
	shows(t, ctx, "#live", "as it was when this page was loaded")
	run(t, ctx, chromedp.SendKeys("#q", "basket"), chromedp.Click(".filter button"), chromedp.WaitReady("main"))
	shows(t, ctx, "#services", "1 of 2")
}
