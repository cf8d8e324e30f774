package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

func TestEndsWithTheExitCodesOfHeddle(t *testing.T) {
	for _, name := range []string{"HEDDLE_ADDRESS", "HEDDLE_SEEDS", "HEDDLE_AGENT", "HEDDLE_TOKEN", "HEDDLE_TOKEN_FILE", "HEDDLE_SERVER"} {
		t.Setenv(name, "")
		os.Unsetenv(name) //nolint:errcheck // Setenv has it set anew at the end
	}
	empty, short := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "short")
	for file, text := range map[string]string{empty: "", short: "a-token-of-some-length\nshort\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]struct {
		code int
		says string
	}{
		"":                       {cli.ExitUsage, "heddle-agent: missing flags: --address=IP\nsee: heddle-agent agent --help"},
		"--address 10.0.0":       {cli.ExitUsage, "heddle-agent: --address \"10.0.0\" is no IP address"},
		"agent --address 10.0.0": {cli.ExitUsage, "heddle-agent: --address \"10.0.0\" is no IP address"},
		"--address 127.0.0.1":    {cli.ExitUsage, "heddle-agent: --key-file is missing"},
		"--address=":             {cli.ExitUsage, "heddle-agent: --address is empty"},
		"--seeds 127.0.0.1":      {cli.ExitUsage, `heddle-agent: unknown flag --seeds, did you mean "--seed"?`},
		"status":                 {cli.ExitUsage, "heddle-agent: unexpected argument status"},
		"--address 127.0.0.1 --insecure-gossip --expose web":                          {cli.ExitUsage, "--expose needs --listener"},
		"--address 127.0.0.1 --insecure-gossip --listener --expose web --systemd":     {cli.ExitUsage, "--listener excludes --services, --docker and --systemd"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --intercept":              {cli.ExitUsage, "--intercept needs --proxy envoy"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --bridge-import orders":   {cli.ExitUsage, "need --bridge"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --xds 192.0.2.1:1":        {cli.ExitUnavailable, "listen on 192.0.2.1:1 (--xds)"},
		"hosts --agent http://127.0.0.1:1":                                            {cli.ExitUnavailable, "heddle-agent: the agent at 127.0.0.1:1 does not answer"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --services /nowhere.json": {cli.ExitFailed, "--services: open /nowhere.json: no such file or directory: a host that runs nothing yet has a file with [] in it"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --services EMPTY":         {cli.ExitFailed, "it is empty: a host that runs nothing has [] in it"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --api-token-file EMPTY":   {cli.ExitFailed, "there is no token in it: put one of 16 characters or more on a line"},
		"--address 127.0.0.1 --insecure-gossip --proxy none --api-token-file SHORT":   {cli.ExitFailed, "line 2: a token has 16 characters or more, and this one has 5"},
		"hosts --server http://127.0.0.1:1":                                           {cli.ExitUsage, "heddle-agent: --server is a mesh's server, and these commands ask the agent of a host: name it with --agent"},
		"hosts drain --server http://127.0.0.1:1 some":                                {cli.ExitUsage, "name it with --agent"},
		"hosts drain":            {cli.ExitUsage, "see: heddle-agent hosts drain --help"},
		"version":                {cli.ExitOK, ""},
		"--version":              {cli.ExitOK, ""},
		"--help":                 {cli.ExitOK, ""},
		"help intercept install": {cli.ExitOK, ""},
	} {
		t.Run(line, func(t *testing.T) {
			var errs bytes.Buffer
			code := run(t.Context(), strings.Fields(strings.NewReplacer("EMPTY", empty, "SHORT", short).Replace(line)), strings.NewReader(""), io.Discard, &errs)
			if code != want.code || !strings.Contains(errs.String(), want.says) {
				t.Errorf("exit code %d, want %d; says\n%s\nwant in it: %s", code, want.code, errs.String(), want.says)
			}
		})
	}
}

// What help and pages show of this program can be typed.
func TestCommandsThatAreShownExist(t *testing.T) {
	shown := regexp.MustCompile(`(?m)^ *(?:setpriv .* )?heddle-agent( [^|>&;#\n]+)$`)
	texts := map[string]string{}
	var details func(node *kong.Node)
	details = func(node *kong.Node) {
		if texts[node.FullPath()] = node.Detail; strings.Contains(node.Detail, "heddle agent ") || strings.Contains(node.Detail, "heddle hosts") {
			t.Errorf("the help of %s names commands of heddle:\n%s", node.FullPath(), node.Detail)
		}
		for _, child := range node.Children {
			details(child)
		}
	}
	details(grammar(t).Model.Node)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```.*?^```")
	for _, page := range pages {
		body, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		texts[page] = strings.Join(blocks.FindAllString(string(body), -1), "\n")
	}
	checked := 0
	quotes := regexp.MustCompile(`"[^"]*"|\S+`)
	for where, text := range texts {
		for _, match := range shown.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[0], "systemctl") {
				continue
			}
			var words []string
			for _, word := range quotes.FindAllString(match[1], -1) {
				words = append(words, strings.Trim(word, `"`))
			}
			checked++
			if _, err := grammar(t).Parse(words); err != nil {
				t.Errorf("%s: heddle-agent%s: %v", where, match[1], err)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d commands found: does the test still see them?", checked)
	}
}

func grammar(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := newParser(&commands{}, cli.NewConsole("heddle-agent", strings.NewReader(""), io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// Its flags complete without the name of the command that runs when none is named.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{"--key-f": "--key-file\n", "--key-file ": ":files\n", "agent --key-f": "--key-file\n", "--proxy h": "haproxy\n", "comp": "completion\n"} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"__complete", "--shell", "bash", "--"}, strings.Split(line, " ")...), strings.NewReader(""), &out, &errs)
		if code != cli.ExitOK || out.String() != want {
			t.Errorf("%q is completed by %q, to be %q: %d, %s", line, out.String(), want, code, errs.String())
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"completion", shell}, strings.NewReader(""), &out, io.Discard); code != cli.ExitOK || !strings.Contains(out.String(), "heddle-agent") || strings.Contains(out.String(), "PROGRAM") || strings.Contains(out.String(), "FUNCTION") {
			t.Errorf("for %s: exit code %d, %s", shell, code, out.String())
		}
	}
}
