package hosts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/treetest"
)

// demo is how `heddle demo hosts` is run by tests.
type demo struct{ heddle, envoy, tmp string }

// realDemo gives what a demo needs, or skips the test. The folder has a short name, for
// there are sockets in it.
func realDemo(t *testing.T) demo {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out the whole demo")
	}
	d := demo{envoy: envoytest.Path(t)}
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	d.heddle = filepath.Join(t.TempDir(), "heddle")
	if err := treetest.Build("cmd/heddle", d.heddle); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.tmp, err = os.MkdirTemp("", "h"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(d.tmp) })
	return d
}

func (d demo) needsDocker(t *testing.T) {
	t.Helper()
	if lacks := dockerd.Lacks(); lacks != "" {
		t.Skipf("no container engine (%s): run hack/system.sh docker.io iptables iproute2", lacks)
	}
}

// environment is that of the demo and all that it starts.
func (d demo) environment() string { return "TMPDIR=" + d.tmp }

func (d demo) command(t *testing.T, more ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), d.heddle, append([]string{"demo", "hosts", "--envoy", d.envoy}, more...)...)
	c.Env = append(c.Environ(), d.environment())
	return c
}

func TestARealFleet(t *testing.T) {
	d := realDemo(t)
	t.Run("plays the whole scenario", d.playsTheScenario)
	t.Run("without Docker", d.withoutDocker)
	t.Run("that was killed leaves nothing that the next does not remove", d.sweepsAfterAKill)
}

func (d demo) playsTheScenario(t *testing.T) {
	d.needsDocker(t)
	command := d.command(t, "--json")
	var out, progress bytes.Buffer
	command.Stdout, command.Stderr = &out, &progress
	err := command.Run()
	t.Log(progress.String())
	if err != nil {
		t.Error(err)
	}
	var r stage.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("standard output is not one JSON object: %v\n%s", err, out.String())
	}
	for _, check := range r.Checks {
		t.Logf("%+v", check)
		if !check.OK || check.Figures["requests"] < 50 || check.Figures["failed"] != 0 {
			t.Errorf("%s: %s, figures %v", check.Name, check.Detail, check.Figures)
		}
		if check.Name == "cut" && check.Figures["retried"] == 0 {
			t.Error("no request was retried when a host was cut off: it was not")
		}
	}
	if want := len((&scenario{town: &town{}}).steps()); len(r.Checks) != want || r.Requests.Sent < 1000 || r.Requests.Failed != 0 {
		t.Errorf("%d checks of %d; requests %+v", len(r.Checks), want, r.Requests)
	}
	d.nothingIsLeft(t, 0)
}

// The reader does what the screen says, and presses Ctrl-C. HAProxy serves the hosts.
func (d demo) withoutDocker(t *testing.T) {
	command := d.command(t, "--stay", "--without-docker", "--proxy", "haproxy")
	screen := d.until(t, command, "Ctrl-C stops everything")
	for line := range strings.Lines(screen) {
		if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 80 && !strings.Contains(line, "/proc/") && !strings.Contains(line, d.tmp) {
			t.Errorf("a line of the screen is too wide for many terminals: %s", line)
		}
	}
	tried := regexp.MustCompile(`(?m)^  (?:curl|bash|nsenter .* curl) .*$`).FindAllString(screen, -1)
	if len(tried) != 5 {
		t.Fatalf("the screen:\n%s", screen)
	}
	for _, line := range tried {
		if output, err := exec.CommandContext(t.Context(), "bash", "-c", line).CombinedOutput(); err != nil || !strings.Contains(string(output), "host-") {
			t.Errorf("%s: %v: %s", line, err, output)
		}
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	d.nothingIsLeft(t, 0)
}

// What a kill leaves are files and cgroups, and the next demo removes them.
func (d demo) sweepsAfterAKill(t *testing.T) {
	d.needsDocker(t)
	killed := d.command(t, "--stay")
	d.until(t, killed, "Ctrl-C stops everything")
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // it was killed
	d.nothingIsLeft(t, 1)
	groups := d.cgroups(t)
	if len(groups) == 0 {
		t.Error("the demo that was killed left no cgroups: these are looked for in the wrong place")
	}
	next := d.command(t, "--stay", "--without-docker")
	if screen := d.until(t, next, "Ctrl-C stops everything"); !strings.Contains(screen, "removed what 1 demo(s) had left") {
		t.Errorf("the next says nothing of it:\n%s", screen)
	}
	for _, group := range groups {
		if _, err := os.Stat(group); !os.IsNotExist(err) {
			t.Errorf("the next leaves %s: %v", group, err)
		}
	}
	if err := next.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(); err != nil {
		t.Error(err)
	}
	d.nothingIsLeft(t, 0)
}

// until starts a demo, and reads on to a line with text.
func (d demo) until(t *testing.T, command *exec.Cmd, text string) string {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = in, in
	err = command.Start()
	in.Close() // the demo has it
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { _ = command.Process.Kill() })
	var seen strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		seen.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), text) {
			rest := make(chan struct{})
			go func() { // so that the demo is not held up; ends with it
				defer close(rest)
				_, _ = io.Copy(io.Discard, out)
			}()
			t.Cleanup(func() {
				late.Stop()
				_ = command.Process.Kill() // fails only if it has ended
				<-rest
				out.Close()
			})
			return seen.String()
		}
	}
	t.Fatalf("never said %q:\n%s", text, seen.String())
	return ""
}

// nothingIsLeft looks for processes, folders and mounts of the demos.
func (d demo) nothingIsLeft(t *testing.T, folders int) {
	t.Helper()
	var left []int
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if left = stage.Leftovers(d.environment()); len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if found, err := filepath.Glob(d.tmp + "/*"); err != nil || len(found) != folders {
		t.Errorf("in the temporary folder are %v, expected %d", found, folders)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || bytes.Contains(mounts, []byte(d.tmp)) {
		t.Errorf("mounted: %s %v", mounts, err)
	}
}

// cgroups are those of the engines of demos that were killed.
func (d demo) cgroups(t *testing.T) []string {
	t.Helper()
	engines, err := filepath.Glob(filepath.Join(d.tmp, folderName+"*", "dk*"))
	if err != nil || len(engines) != backends {
		t.Fatalf("the demo that was killed had the engines %v: %v", engines, err)
	}
	var found []string
	for _, engine := range engines {
		for _, folder := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			groups, _ := filepath.Glob(folder + "heddle-" + filepath.Base(engine)) // the pattern is right
			found = append(found, groups...)
		}
	}
	return found
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	d := demo{envoy: "/bin/true"}
	t.Setenv("PATH", t.TempDir())
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no envoy": {Config{Heddle: "/bin/sh", Envoy: "/nowhere/envoy"}, "Envoy"},
		"no ip":    {Config{Heddle: "/bin/sh", Envoy: d.envoy, WithoutDocker: true}, "apt install"},
	} {
		if err := Run(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) && !strings.Contains(err.Error(), "sudo") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
