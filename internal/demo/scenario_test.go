package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/treetest"
)

// realDemo gives what a demo needs, or skips the test.
func realDemo(t *testing.T) (heddle, envoy string) {
	t.Helper()
	envoy = envoytest.Path(t)
	heddle = filepath.Join(t.TempDir(), "heddle")
	if err := treetest.Build("cmd/heddle", heddle); err != nil {
		t.Fatal(err)
	}
	return heddle, envoy
}

// The main job with as few processes as it takes, for the inner loop: a call that
// is not declared is refused by a real sidecar, and goes through once it is.
func TestTwoSidecarsRefuseWhatIsNotDeclared(t *testing.T) {
	heddle, envoy := realDemo(t)
	ctx, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	var said []string
	hurry := make(chan struct{})
	folder := t.TempDir()
	small := &town{
		config: Config{Heddle: heddle, Envoy: envoy, Hurry: hurry}, folder: folder, fail: fail,
		say:       func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
		launch:    stage.Launcher{Mark: rand.Text(), Folder: folder, Died: make(chan *stage.Process, 1)},
		instances: []*instance{{service: shop.Web, id: "web-1"}, {service: shop.Reviews, id: "reviews-1"}},
	}
	defer func() {
		close(hurry) // leaving in order is the long test's to see
		if err := small.close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
		if progress := strings.Join(said, "\n"); !strings.Contains(progress, "  web-1\n  reviews-1\n  server") {
			t.Errorf("it does not say what it stops, callers first:\n%s", progress)
		}
	}()
	if err := small.start(ctx); err != nil {
		t.Fatal(err)
	}
	played := &scenario{town: small, load: newLoad(small.fronts)}
	found, err := played.declare(ctx)
	if err != nil || found.Figures["statusBefore"] != http.StatusForbidden {
		t.Errorf("%v: %+v", err, found)
	}
	if count := played.load.Count(); count.Sent != 20 || count.Failed != 0 {
		t.Errorf("%d calls, %d failed", count.Sent, count.Failed)
	}
}

func TestARealDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the whole demo")
	}
	heddle, envoy := realDemo(t) // once: it takes a while to link
	t.Run("plays the whole scenario", func(t *testing.T) { playsTheScenario(t, heddle, envoy) })
	t.Run("that stays does what it says", func(t *testing.T) { doesWhatItSays(t, heddle, envoy) })
	t.Run("starts again with the data that it kept", func(t *testing.T) { startsAgain(t, heddle, envoy) })
	t.Run("that is killed leaves nothing", func(t *testing.T) { leavesNothing(t, heddle, envoy) })
}

func playsTheScenario(t *testing.T, heddle, envoy string) {
	var out, progress bytes.Buffer
	err := Run(t.Context(), Config{Heddle: heddle, Envoy: envoy, Once: true, JSON: true, Out: &out, Err: &progress})
	t.Log(progress.String())
	if err != nil {
		t.Error(err)
	}
	var r stage.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("standard output is not one JSON object: %v\n%s", err, out.String())
	}
	for _, check := range r.Checks {
		if !check.OK || len(check.Figures) == 0 {
			t.Errorf("%s: %s, figures %v", check.Name, check.Detail, check.Figures)
		}
	}
	if len(r.Checks) != 12 || r.Requests.Sent < 1000 || r.Requests.Failed != 0 {
		t.Errorf("%d checks; requests %+v", len(r.Checks), r.Requests)
	}
}

// command runs `heddle demo` as a person does, and gives its output line by line.
type command struct {
	process *exec.Cmd
	entry   string // in the environment of all that it starts
	tmp     string // its temporary folder
	output  *bufio.Scanner
	seen    strings.Builder
}

func runDemo(t *testing.T, heddle, envoy string, more ...string) *command {
	t.Helper()
	tmp := t.TempDir()
	c := &command{process: exec.Command(heddle, append([]string{"demo", "--envoy", envoy}, more...)...), tmp: tmp, entry: "TMPDIR=" + tmp}
	c.process.Env = append(c.process.Environ(), c.entry)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.process.Stdout, c.process.Stderr = in, in
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close() // the demo has it; so the output ends with the demo
	c.output = bufio.NewScanner(out)
	end := sync.OnceFunc(func() { _ = c.process.Process.Kill() })
	late := time.AfterFunc(2*time.Minute, end)
	t.Cleanup(func() {
		late.Stop()
		end()
		out.Close()
		if c.process.ProcessState == nil {
			_ = c.process.Wait()
		}
	})
	return c
}

// until reads on to a line with text.
func (c *command) until(t *testing.T, text string) {
	t.Helper()
	for c.output.Scan() {
		fmt.Fprintln(&c.seen, c.output.Text())
		if strings.Contains(c.output.Text(), text) {
			return
		}
	}
	t.Fatalf("never said %q:\n%s", text, c.seen.String())
}

func (c *command) nothingIsLeft(t *testing.T) {
	t.Helper()
	if err := stage.Poll(t.Context(), 20*time.Second, "nothing to be left", func(context.Context) error {
		if left := stage.Leftovers(c.entry); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// The reader does what the screen says: sends the request, reads the refusal,
// looks by the command line; and then presses Ctrl-C.
func doesWhatItSays(t *testing.T, heddle, envoy string) {
	c := runDemo(t, heddle, envoy)
	c.until(t, "Ctrl-C stops everything")
	screen := c.seen.String()
	lines := regexp.MustCompile(`(?m)^  curl .*$`).FindAllString(screen, -1)
	if len(lines) != 4 {
		t.Fatalf("the screen:\n%s", screen)
	}
	_, text, err := curl(t.Context(), t, lines[0])
	var answer shop.Answer
	if err := errors.Join(err, json.Unmarshal([]byte(text), &answer)); err != nil || visited(&answer) != nil {
		t.Errorf("the request on the screen: %v: %s", errors.Join(err, visited(&answer)), text)
	}
	if status, text, err := curl(t.Context(), t, lines[1]); err != nil || status != http.StatusUnauthorized || !strings.Contains(text, "token") {
		t.Errorf("without a user's token: status %d: %s, %v", status, text, err)
	}
	if status, text, err := curl(t.Context(), t, lines[2]); err != nil || status != http.StatusForbidden || !strings.Contains(text, "declare it") {
		t.Errorf("the call that is not declared: status %d: %s, %v", status, text, err)
	}
	if status, text, err := curl(t.Context(), t, lines[3]); err == nil {
		t.Errorf("plain text to a sidecar's port: status %d: %s", status, text)
	}
	for line := range strings.Lines(screen) {
		if line = strings.TrimSpace(line); utf8.RuneCountInString(line) > 82 && !strings.Contains(line, c.tmp) && !strings.Contains(line, heddle) {
			t.Errorf("a line of the screen is too wide for many terminals: %s", line)
		}
	}
	if pages := regexp.MustCompile(`http://\S+/ui/`).FindString(screen); pages == "" {
		t.Error("the screen does not name the web pages")
	} else if status, text, err := curl(t.Context(), t, "curl "+pages); err != nil || status != http.StatusOK || !strings.Contains(text, "</html>") {
		t.Errorf("the web pages: status %d: %s, %v", status, text, err)
	}
	settings := regexp.MustCompile(`export (HEDDLE_SERVER=\S+) (HEDDLE_TOKEN_FILE=\S+)`).FindStringSubmatch(screen)
	if len(settings) != 3 {
		t.Fatalf("no settings on the screen:\n%s", screen)
	}
	for line, want := range map[string]string{"status": "orders", "get services": "payments", "get instances": "web-2", "get routes": "localhost", "explain web orders": "orders", "get service web -o yaml": "dependencies"} {
		look := exec.Command(c.process.Path, strings.Fields(line)...)
		look.Env = append(look.Environ(), settings[1:]...)
		if output, err := look.CombinedOutput(); err != nil || !strings.Contains(string(output), want) {
			t.Errorf("heddle %s: %v\n%s", line, err, output)
		}
	}
	declare := regexp.MustCompile(`(?m)^.*apply -f -$`).FindString(screen)
	change := exec.Command("sh", "-c", declare)
	change.Env = append(change.Environ(), settings[1:]...)
	if output, err := change.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", declare, err, output)
	}
	if err := stage.Poll(t.Context(), 10*time.Second, "reviews to be callable", func(ctx context.Context) error {
		status, text, err := curl(ctx, t, lines[2])
		if err == nil && status != http.StatusOK {
			err = reply{status: status, body: text}
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if len(stage.Leftovers(c.entry)) < 10 {
		t.Errorf("only %d processes are seen while it runs", len(stage.Leftovers(c.entry)))
	}
	if err := c.process.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	c.until(t, "nothing is left running")
	if !strings.Contains(c.seen.String(), "\n  gateway\n  web-1, web-2\n  orders-1, orders-2\n") {
		t.Errorf("it does not say what it stops:\n%s", c.seen.String())
	}
	if err := c.process.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, c.seen.String())
	}
	c.nothingIsLeft(t)
	if left, err := os.ReadDir(c.tmp); err != nil || len(left) > 0 {
		t.Errorf("its temporary folder holds %v: %v", left, err)
	}
}

// curl does what a line on the screen says, as curl would.
func curl(ctx context.Context, t *testing.T, line string) (status int, body string, err error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	var request *http.Request
	words := strings.Fields(line)
	for n, word := range words {
		switch {
		case word == "--cacert":
			data, err := os.ReadFile(words[n+1])
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(data)
			transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		case strings.HasPrefix(word, "http"):
			if request, err = http.NewRequestWithContext(ctx, http.MethodGet, word, http.NoBody); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, word := range words {
		if file, is := strings.CutPrefix(word, "@"); is {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, value, _ := strings.Cut(strings.TrimSpace(string(data)), ": ")
			request.Header.Set(name, value)
		}
	}
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// The folder of --keep-data is that of a demo that was killed: it has signing keys,
// sealed by a secret, and identities, and instances whose leases go on.
func startsAgain(t *testing.T, heddle, envoy string) {
	folder := t.TempDir()
	for _, end := range []os.Signal{os.Kill, os.Interrupt} {
		c := runDemo(t, heddle, envoy, "--keep-data", folder)
		c.until(t, "Ctrl-C stops everything")
		if err := c.process.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		if end == os.Interrupt {
			c.until(t, "nothing is left running")
		}
		c.nothingIsLeft(t)
	}
}

func leavesNothing(t *testing.T, heddle, envoy string) {
	c := runDemo(t, heddle, envoy)
	c.until(t, "Ctrl-C stops everything")
	if err := c.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.nothingIsLeft(t)
	t.Setenv("TMPDIR", c.tmp)
	_, next, err := Config{}.workFolder() // as the next one begins
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(c.tmp, folderPrefix+"*")); err != nil || len(left) != 1 || left[0] != next.Path {
		t.Errorf("there are %q, to be that of the next alone, %s: %v", left, next.Path, err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}
