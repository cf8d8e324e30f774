package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/treetest"
)

// guide is the shell that plays a page: servers, sidecars and what runs without
// end go to the background, and each curl is repeated until its answer is the one
// that the page promises. %s is the page's own commands, and what comes after.
const guide = `
set -u
trap 'trap - TERM; kill $(jobs -p) 2>/dev/null; wait' EXIT
answers() { # CODE CURL-ARGUMENTS: asks for up to 20 s
  local want=$1 got i; shift
  for ((i = 0; i < 100; i++)); do
    got=$(curl -s -o answer -w '%%{http_code}' "$@")
    [[ $got == "$want" ]] && { echo "$want as promised"; return; }
    sleep 0.2
  done
  echo "answer $got, want $want: $(cat answer)"; exit 1
}
serves() { local i; for ((i = 0; i < 100; i++)); do bin/heddle status >status 2>&1 && return; sleep 0.2; done; cat status; exit 1; }
%s
bin/heddle status
`

// play types what a page says, with heddle in dir's bin, and gives the output.
func play(t *testing.T, page, dir, after string, env ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	heddle, err := exec.LookPath("heddle") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(heddle, filepath.Join(dir, "bin", "heddle")); err != nil {
		t.Fatal(err)
	}
	rest, xds := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.CommandContext(t.Context(), "bash", "-c", fmt.Sprintf(guide, playable(t, string(text), dir)+"\n"+after))
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "HEDDLE_LISTEN="+rest, "HEDDLE_XDS_LISTEN="+xds,
		"HEDDLE_SERVER=http://"+rest, "HEDDLE_XDS="+xds, "HEDDLE_TOKEN=", "NO_COLOR=1"), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A newcomer types what the page says, and gets what it promises.
func TestGettingStarted(t *testing.T) {
	envoy := envoytest.Path(t)
	for _, program := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s on PATH", program)
		}
	}
	out := play(t, "getting-started.md", t.TempDir(), "", "HEDDLE_ENVOY="+envoy)
	for _, want := range []string{"service/greeter created", "200 as promised", "403 as promised", "2 connected, all up to date"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

// The page about identities keeps its promises, too.
func TestIdentityPage(t *testing.T) {
	envoy := envoytest.Path(t)
	for _, program := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s on PATH", program)
		}
	}
	out := play(t, "identity.md", t.TempDir(), "", "HEDDLE_ENVOY="+envoy, "HEDDLE_TOKEN_FILE=")
	for _, want := range []string{"service/hello created", "the workload has a new certificate", "200 as promised", "join, 1 of 1 used", "1 connected, all up to date"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

// Nor is the page about gRPC without a sidecar a promise: its example is built
// and run, and calls both instances.
func TestProxylessPage(t *testing.T) {
	if testing.Short() {
		t.Skip("long: builds the example")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash on PATH")
	}
	dir := t.TempDir()
	if err := treetest.Build("examples/proxyless", filepath.Join(dir, "bin", "proxyless")); err != nil {
		t.Fatal(err)
	}
	out := play(t, "proxyless.md", dir, `
for ((i = 0; i < 200; i++)); do
  [[ $(grep -o 'answered by .*' background | sort -u | wc -l) == 2 ]] && break
  sleep 0.1
done
cat background`)
	if n := strings.Count(out, "answered by 127.0.0.1:"); n < 2 || strings.Contains(out, "failed:") || !strings.Contains(out, "1 connected, all up to date") {
		t.Errorf("%d answers:\n%s", n, out)
	}
}

// The page about gateways is played too, with HTTPS.
func TestGatewayPage(t *testing.T) {
	envoy := envoytest.Path(t)
	for _, program := range []string{"bash", "curl", "python3", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s on PATH", program)
		}
	}
	out := play(t, "gateway.md", t.TempDir(), "", "HEDDLE_ENVOY="+envoy)
	for _, want := range []string{"route/shop created", "301 as promised", "308 as promised", "404 as promised", "2 connected, all up to date"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "200 as promised"); n != 2 {
		t.Errorf("%d promises of 200 kept:\n%s", n, out)
	}
}

// The walk from a call that fails to one that arrives does so.
func TestExplainPage(t *testing.T) {
	envoy := envoytest.Path(t)
	for _, program := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s on PATH", program)
		}
	}
	out := play(t, "explain.md", t.TempDir(), "", "HEDDLE_ENVOY="+envoy)
	for _, want := range []string{
		"stopped: the caller sees 403, x-heddle-reason: undeclared", "exit code 7", "heddle drift --declare greeter hello", "greeter declares hello (revision",
		"has no instance: none is registered", "allowed: the request arrives at hello", `calls: "hello" answered greeter last`, "greeter (1 proxy): 1 cluster changed, 1 route table changed",
		"a change of hello concerns 1 direct caller", `no instance of "hello" is in subset v2`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "exit code 7"); n != 4 {
		t.Errorf("%d verdicts that the call is stopped, want 4:\n%s", n, out)
	}
}

// The page about drift is played as it stands, from the attempt to its mending.
func TestDriftPage(t *testing.T) {
	envoy := envoytest.Path(t)
	for _, program := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s on PATH", program)
		}
	}
	out := play(t, "drift.md", t.TempDir(), "", "HEDDLE_ENVOY="+envoy)
	for _, want := range []string{
		"403 as promised", "shop tried to call stock", "heddle drift --declare shop stock", "api.example.org", "- stock",
		"name: api-example-org", "shop declares stock (revision", "503 as promised",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

var promised = regexp.MustCompile(`^curl -i (.*?)\s+# (\d+)`)

// playable turns the page's commands into ones that a script can run, with
// ports and folders of its own.
func playable(t *testing.T, page, dir string) string {
	t.Helper()
	ports := regexp.MustCompile(`\b9[0-9]{3}\b`)
	fresh := map[string]string{}
	var lines []string
	for _, line := range fenced(page) {
		line = strings.ReplaceAll(line, "/tmp/", dir+"/")
		line = ports.ReplaceAllStringFunc(line, func(port string) string {
			if fresh[port] == "" {
				fresh[port] = fmt.Sprint(freePort(t))
			}
			return fresh[port]
		})
		switch {
		case line == "make build", line == "hack/envoy.sh", strings.HasPrefix(line, "go build "): // the test has them
		case strings.HasPrefix(line, "bin/heddle server"):
			lines = append(lines, line+" &", "serves")
		case strings.HasPrefix(line, "bin/heddle proxy"):
			lines = append(lines, line+" &")
		case strings.Contains(line, "bin/proxyless call"):
			lines = append(lines, line+" >background 2>&1 &")
		case promised.MatchString(line):
			lines = append(lines, promised.ReplaceAllString(line, "answers $2 $1; #"))
		case strings.HasPrefix(line, "heddle "): // for other machines
		case strings.HasPrefix(line, "bin/heddle"):
			lines = append(lines, line+" || exit 1")
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
