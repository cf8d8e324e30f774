package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// repository is the root of this repository, from this package.
var repository = filepath.Join("..", "..", "..")

// chromium is one browser for all tests of the package; each tab is by itself, as
// a private window is.
type chromium struct {
	mu   sync.Mutex
	ctx  context.Context // guarded by mu; nil: not started
	ends []context.CancelFunc
}

var theBrowser chromium

func (c *chromium) start(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("HEDDLE_CHROMIUM")
	if path == "" {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if found, err := exec.LookPath(name); err == nil {
				path = found
				break
			}
		}
	}
	if path == "" {
		t.Skip("no Chromium: run hack/system.sh chromium, or name one in HEDDLE_CHROMIUM")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx != nil {
		return c.ctx
	}
	// Not of t: the browser outlives the test that needed it first.
	allocator, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("font-render-hinting", "none"))...)
	ctx, endBrowser := chromedp.NewContext(allocator)
	if err := chromedp.Run(ctx); err != nil {
		endBrowser()
		end()
		t.Fatalf("start %s: %v", path, err)
	}
	c.ctx, c.ends = ctx, []context.CancelFunc{endBrowser, end}
	return c.ctx
}

func (c *chromium) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		return
	}
	_ = chromedp.Cancel(c.ctx) // waits until it has ended
	for _, end := range c.ends {
		end()
	}
}

// tab is a browser's tab, with cookies of its own. What a page complains about
// (its security policy, errors of scripts) fails the test at its end.
type tab struct {
	*site
	ctx context.Context

	mu         sync.Mutex
	complaints []string // guarded by mu
}

// tab opens one; a test has two minutes with it.
func (s *site) tab() *tab {
	s.t.Helper()
	parent := theBrowser.start(s.t)
	whole := cdp.WithExecutor(parent, chromedp.FromContext(parent).Browser)
	private, err := target.CreateBrowserContext().Do(whole)
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(private).WithNewWindow(true).Do(whole)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, end := chromedp.NewContext(parent, chromedp.WithTargetID(id))
	ctx, endTime := context.WithTimeout(ctx, 2*time.Minute)
	b := &tab{site: s, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			// The network's are refusals that a test asked for, a recommendation (a user
			// name beside each password) is none to follow, and a test may be in a field
			// before the page says which is the first.
			if e.Entry.Source != cdplog.SourceNetwork && e.Entry.Source != cdplog.SourceRecommendation && !strings.HasPrefix(e.Entry.Text, "Autofocus processing was blocked") {
				b.complain("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			b.complain("script: %s", e.ExceptionDetails.Error())
		case *page.EventJavascriptDialogOpening:
			b.complain("a script of the page asked or said %q: it was injected", e.Message)
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				said, _ := json.Marshal(e.Args)
				b.complain("console: %s", said)
			}
		}
	})
	s.t.Cleanup(func() {
		for _, one := range b.complaints {
			s.t.Errorf("the browser complained: %s", one)
		}
		endTime()
		end()
		_ = target.DisposeBrowserContext(private).Do(whole) // it ends with the browser at the latest
	})
	b.run(cdplog.Enable(), browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorDeny))
	b.shape(1000, "light")
	return b
}

func (b *tab) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, fmt.Sprintf(format, args...))
}

// run does something in the tab.
func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("in the browser, at %s: %v", b.at(), err)
	}
}

// at is the address that the tab shows.
func (b *tab) at() string {
	var at string
	_ = chromedp.Run(b.ctx, chromedp.Location(&at)) // for messages
	return strings.TrimPrefix(at, b.url)
}

// shape gives the tab a width in pixels, and the colours that its system prefers.
func (b *tab) shape(width int64, theme string) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(width, 900), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// visit opens a page of the site.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.url+path), chromedp.WaitReady("main"))
}

// signIn signs in through the page, as people do.
func (b *tab) signIn(token string) {
	b.t.Helper()
	b.visit("/ui/sign-in")
	b.run(chromedp.SendKeys("#token", token), chromedp.Submit("#token"), chromedp.WaitReady(".user-name"))
}

// text is what an element says.
func (b *tab) text(selector string) string {
	b.t.Helper()
	var text string
	b.run(chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// evaluate asks a script's expression of the page.
func (b *tab) evaluate(script string, into any) {
	b.t.Helper()
	b.run(chromedp.Evaluate(script, into, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// axe fails the test for each serious or critical fault that axe-core finds.
func (b *tab) axe() {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join(repository, ".tools", "axe", "axe.min.js"))
	if err != nil {
		b.t.Skip("no axe-core: run hack/axe.sh")
	}
	b.run(chromedp.Evaluate(string(script), nil))
	var found string
	b.evaluate(`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => ({rule: v.id, help: v.help, nodes: v.nodes.slice(0, 5).map(n => n.html.slice(0, 200) + " — " + n.failureSummary)}))))`, &found)
	var faults []struct {
		Rule, Help string
		Nodes      []string
	}
	if err := json.Unmarshal([]byte(found), &faults); err != nil {
		b.t.Fatal(err)
	}
	for _, one := range faults {
		b.t.Errorf("%s: axe %s: %s:\n  %s", b.at(), one.Rule, one.Help, strings.Join(one.Nodes, "\n  "))
	}
}

// picture keeps a screenshot of what is shown, at three widths, light and dark,
// as inspect does.
func (b *tab) picture(name string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1000, 1600} {
			b.shape(width, theme)
			b.keep(name, width, theme)
		}
	}
	b.shape(1000, "light")
}

// keep writes a screenshot to a file.
func (b *tab) keep(name string, width int64, theme string) {
	b.t.Helper()
	folder := os.Getenv("HEDDLE_SCREENSHOTS")
	if folder == "" {
		folder = filepath.Join(repository, ".screenshots")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	var wide bool
	b.evaluate(`document.documentElement.scrollWidth > window.innerWidth`, &wide)
	if wide {
		b.t.Errorf("%s is wider than a window of %d px", b.at(), width)
	}
	var picture []byte
	b.run(chromedp.FullScreenshot(&picture, 100))
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// inspect looks at a page at three widths, light and dark: nothing is wider than
// the window, axe finds nothing, and the pictures are kept as NAME-WIDTH-THEME.png
// in the folder HEDDLE_SCREENSHOTS, or else .screenshots.
func (b *tab) inspect(path, name string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1000, 1600} {
			b.shape(width, theme)
			b.visit(path)
			if width != 1600 { // as wide as 1000 to axe
				b.axe()
			}
			b.keep(name, width, theme)
		}
	}
}
