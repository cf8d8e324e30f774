package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
)

// TestKeysAreOrderedAbout has an admin rotate, revoke and withdraw the keys of two
// AuthZ services, one in a server with its embedded etcd, one apart.
func TestKeysAreOrderedAbout(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("secret"), []byte(strings.Repeat("5e", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(append([]string{
		"--log-level", "warn", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", file("data"), "--ready-file", file("ready.json"), "--admin-token-file", file("token"),
		"--authz-listen", "127.0.0.1:0", "--authz-key-file", file("secret"), "--authz-advertise", "127.0.0.1:18001",
	}, callerFiles(t, "authz-")...)...)
	said := awaitReady(t, server, file("ready.json"))
	apart := start(append([]string{
		"--log-level", "warn", "authz", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file("apart.json"),
		"--etcd-endpoints", "unix://" + file("data/etcd.sock"), "--key-file", file("secret"), "--advertise", "127.0.0.1:18002",
	}, callerFiles(t, "")...)...)
	awaitReady(t, apart, file("apart.json"))

	heddle := func(token string, args ...string) (code int, out, wrong string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), append(args, "--server", said["rest"], "--token-file", token), strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	defer func() {
		if t.Failed() {
			t.Logf("server:\n%s\napart:\n%s", server.stderr.String(), apart.stderr.String())
		}
	}()
	does := func(args ...string) string {
		t.Helper()
		code, out, wrong := heddle(file("token"), args...)
		if code != cli.ExitOK {
			t.Fatalf("heddle %s: %d\n%s", strings.Join(args, " "), code, wrong)
		}
		return out
	}
	listed := func() (keys client.SigningKeys) {
		t.Helper()
		if err := json.Unmarshal([]byte(does("keys", "list", "-o", "json")), &keys); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	await(t, "both to be announced", func() bool { return len(listed().Authorizers) == 2 && len(listed().Keys) == 1 })
	first := signingKey(listed())

	rotated := does("keys", "rotate")
	second := signingKey(listed())
	if second == first || !strings.Contains(rotated, second) {
		t.Errorf("rotate said %q; %s signs", rotated, second)
	}
	if keys := listed().Keys; len(keys) != 2 || keys[0].State != "former" {
		t.Errorf("the former key is %+v", keys)
	}

	begun := time.Now()
	does("keys", "revoke", second)
	if took := time.Since(begun); took > 20*time.Second { // five, and the machine may be busy
		t.Errorf("revoking took %s", took)
	}
	after := listed()
	if third := signingKey(after); third == "" || third == second || third == first {
		t.Errorf("in its place signs %q", third)
	}
	if slices.ContainsFunc(after.Keys, func(k client.SigningKey) bool { return k.ID == second }) || len(after.Revoked) != 1 || after.Revoked[0].ID != second {
		t.Errorf("keys %+v, revoked %+v", after.Keys, after.Revoked)
	}
	if out := does("keys", "list"); !strings.Contains(out, second) || !strings.Contains(out, "127.0.0.1:18002") {
		t.Errorf("listed:\n%s", out)
	}
	if out := does("status"); !strings.Contains(out, "tokens   key "+signingKey(after)+" signs, 2 AuthZ services are announced") {
		t.Errorf("the status says:\n%s", out)
	}
	does("keys", "revoke", second) // again, which changes nothing

	does("keys", "withdraw")
	time.Sleep(1500 * time.Millisecond) // in which both look, and do not publish
	if keys := listed(); !keys.Withdrawn || len(keys.Keys) != 0 || len(keys.Authorizers) != 2 {
		t.Errorf("withdrawn: %+v", keys)
	}
	if out := does("keys", "list"); !strings.Contains(out, "heddle keys publish") {
		t.Errorf("listed:\n%s", out)
	}
	does("keys", "publish")
	if keys := listed(); keys.Withdrawn || signingKey(keys) != signingKey(after) {
		t.Errorf("published again: %+v", keys)
	}

	if code, _, wrong := heddle(file("token"), "keys", "revoke", "nothing"); code != cli.ExitNotFound {
		t.Errorf("a key that is not there: %d, %s", code, wrong)
	}
	if err := os.WriteFile(file("orders"), []byte(does("token", "create", "--service", "orders")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"rotate"}, {"revoke", first}, {"withdraw"}, {"publish"}} {
		if code, _, wrong := heddle(file("orders"), append([]string{"keys"}, args...)...); code != cli.ExitDenied {
			t.Errorf("a service's owner %v: %d, %s", args, code, wrong)
		}
	}
}

// An order without anybody who follows it is said to be one.
func TestAnOrderWaitsForAnAuthzService(t *testing.T) {
	live := startServer(t, t.TempDir())
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"keys", "rotate", "--timeout", "300ms", "--server", live.address, "--token-file", live.tokenFile}, strings.NewReader(""), &stdout, &stderr)
	if code == cli.ExitOK || !strings.Contains(stderr.String(), "0 AuthZ services") {
		t.Errorf("%d: %s%s", code, stdout.String(), stderr.String())
	}
}
