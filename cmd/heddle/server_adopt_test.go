package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// The first start makes the admin token that it is given; later ones bring back none
// that was revoked, take no other, and start whatever the file holds.
func TestTheAdminTokenThatIsGiven(t *testing.T) {
	dir := t.TempDir()
	file, ready := filepath.Join(dir, "token"), filepath.Join(dir, "ready.json")
	given := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(more ...string) *command {
		return start(append([]string{"server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--ready-file", ready,
			"--data-dir", filepath.Join(dir, "data"), "--initial-admin-token-file", file}, more...)...)
	}
	const half = "6f1d9a0c47e2b85330c9de1477ab62f8"
	first, other := "hdl_0123456789ab_"+half+"5ce80b94a1773d2ef0694cbb1e83d75a", "hdl_ba9876543210_"+half+"91e4c06d7f38ab52d4170efc6a92b03b"
	refused := func(secret, says string) {
		t.Helper()
		c := serve()
		await(t, "the server to refuse", c.ended)
		if text := c.stderr.String(); c.code == cli.ExitOK || !strings.Contains(text, says) || secret != "" && strings.Contains(text, secret) {
			t.Errorf("%q: it ended with %d:\n%s", secret, c.code, text)
		}
	}
	refused("", "read --initial-admin-token-file")
	for _, wrong := range []string{"", "hunter2hunter2", strings.ToUpper(first), strings.Replace(first, "hdl", "hds", 1), first + "0", "hdl__" + half + half,
		"hdl_0123456789ab_" + strings.Repeat("0123456789abcdef", 4)} {
		given(wrong)
		refused(wrong, "is not of the form hdl_ID_SECRET")
	}
	if c := serve("--admin-token-file", file); true {
		await(t, "the server to refuse", c.ended)
		if c.code != cli.ExitUsage {
			t.Errorf("with both files it ended with %d:\n%s", c.code, c.stderr.String())
		}
	}
	const unknown = "is not known, and not made"
	for _, step := range []struct {
		secret, says string
		end          bool // by revoking the first token
	}{{first, "is good from now on", false}, {first, "", false}, {other, unknown, false}, {"", unknown, false}, {"", "", true}, {first, unknown, false}, {other, "is good from now on", false}} {
		given(step.secret)
		if step.end {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		c := serve()
		await(t, "the server to be ready", func() bool { return strings.Contains(c.stderr.String(), "msg=ready") || c.ended() })
		text := c.stderr.String()
		if !strings.Contains(text, step.says) || step.says == "" && strings.Contains(text, "admin-token-file") || step.secret != "" && strings.Contains(text+c.stdout.String(), step.secret) {
			t.Errorf("%q is not said, or too much:\n%s", step.says, text)
		}
		if step.end {
			var said map[string]string
			if data, err := os.ReadFile(ready); err != nil || json.Unmarshal(data, &said) != nil {
				t.Fatal(err, string(data))
			}
			if code := run(t.Context(), []string{"token", "revoke", "0123456789ab", "--server", said["rest"], "--token", first}, strings.NewReader(""), os.Stderr, os.Stderr); code != cli.ExitOK {
				t.Fatalf("revoke ended with %d", code)
			}
		}
		if code := c.interrupt(t); code != cli.ExitOK {
			t.Errorf("it ended with %d:\n%s", code, c.stderr.String())
		}
	}
}
