package cloudinit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Variable is something that differs from machine to machine. The values stand in lines
// of shell and of systemd's environment files, in single quotes: no pattern takes a
// quote, a backslash, a dollar or the end of a line.
type Variable struct {
	Name    string // in templates; the flags of heddle bootstrap have - for _
	Pattern string // RE2, as both Go and Terraform have; "" for text of any kind, which is encoded
	Form    string // what the pattern asks for, in words
	About   string
	Secret  bool
}

const (
	programURL = "heddle_url"

	urlPattern = `https?://[A-Za-z0-9._-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~/%+=&?,:@-]*`
	sumPattern = `[0-9a-f]{64}`
	hostPort   = `(?:[A-Za-z0-9._-]+|[[][0-9a-fA-F:.]+[]]):[0-9]{1,5}`
	label      = `[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?`
	words      = `[A-Za-z0-9 ,.:;/_=@+*?&~-]*`
	sumForm    = "64 hexadecimal digits in lower case, as sha256sum prints"
	urlForm    = "a URL of http or https with a path, such as https://files.example.com/heddle"
	wordsForm  = "flags and values with spaces between, without quotes, $ and backslashes"
)

// variables are all of them, as the README of the templates lists them.
var variables = []Variable{
	{Name: programURL, Pattern: urlPattern, Form: urlForm, About: "Where the program heddle is fetched from."},
	{Name: "heddle_sha256", Pattern: sumPattern, Form: sumForm, About: "The SHA-256 sum of that file."},
	{Name: "envoy_url", Pattern: urlPattern, Form: urlForm, About: "Where the program Envoy is fetched from: the binary itself, no archive."},
	{Name: "envoy_sha256", Pattern: sumPattern, Form: sumForm, About: "The SHA-256 sum of that file."},
	{Name: "control_plane_url", Pattern: `https://` + hostPort, Form: "https://HOST:PORT", About: "The REST API of the control plane over TLS: https://HOST:7443."},
	{Name: "control_plane_xds", Pattern: hostPort + `(?:,` + hostPort + `)*`, Form: "HOST:PORT, several with commas between", About: "xDS of the control planes over TLS: HOST:18443; several with commas between are tried by turns."},
	{Name: "region", Pattern: `[A-Za-z0-9._-]*`, Form: "letters, digits, dots, - and _", About: "Where the machine runs, for locality; may be empty."},
	{Name: "zone", Pattern: `[A-Za-z0-9._-]*`, Form: "letters, digits, dots, - and _", About: "Where in the region; may be empty."},
	{Name: "listen_address", Pattern: `[0-9.]+|[[][0-9a-fA-F:.]+[]]`, Form: "an IP address; of version 6 in brackets", About: "Where the control plane listens: its own address, or 0.0.0.0."},
	{Name: "discovery", About: "The file of heddle server --discovery, as it is; may be empty."},
	{Name: "server_flags", Pattern: words, Form: wordsForm, About: "More flags of heddle server; may be empty."},
	{Name: "gateway", Pattern: label, Form: "a DNS label such as edge", About: "The name of the gateway."},
	{Name: "service", Pattern: label, Form: "a DNS label such as orders", About: "The service whose sidecar runs here; empty for a backend without one, of which the mesh knows by its tags."},
	{Name: "app_port", Pattern: `[1-9][0-9]{0,4}`, Form: "a port", About: "Where the application listens on 127.0.0.1; empty for one that only makes calls."},
	{Name: "app_script", About: "A script that installs and starts the application, as it is; run once, as root, before the sidecar. May be empty."},
	{Name: "proxy_flags", Pattern: words, Form: wordsForm, About: "More flags of heddle proxy; may be empty."},
	{Name: "key_vault_url", Pattern: `https://[A-Za-z0-9][A-Za-z0-9-]*[.][A-Za-z0-9.-]+/?`, Form: "https://NAME.vault.azure.net", About: "The Azure Key Vault from which secrets are fetched with the managed identity of the machine; may be empty."},
	{Name: "join_secret", Pattern: `[0-9A-Za-z-]{1,127}`, Form: "letters, digits and -", About: "The secret there that holds the join token."},
	{Name: "secrets", Pattern: `(?:[0-9A-Za-z-]{1,127}=[A-Za-z0-9._-]+ *)*`, Form: "NAME=FILE, several with spaces between", About: "More secrets to fetch from there, each as NAME=FILE, with spaces between; they become /run/heddle/ROLE/FILE. May be empty."},
	{Name: "identity_client_id", Pattern: `[0-9a-fA-F-]*`, Form: "a UUID", About: "The client ID of the managed identity, if the machine has several; may be empty."},
	{Name: "join_token", Pattern: `hdj_[A-Za-z0-9_.-]+`, Form: "what heddle token create --join prints (or give --key-vault and --join-secret)", About: "The join token itself, without a Key Vault. Whoever may read the custom data of the machine can read it: let it live for minutes.", Secret: true},
}

// find gives a variable by its name, which has to be one.
func find(name string) Variable {
	at := slices.IndexFunc(variables, func(v Variable) bool { return v.Name == name })
	if at < 0 {
		panic("cloudinit: no variable " + name)
	}
	return variables[at]
}

// whole is the pattern for all of a value.
func (v Variable) whole() string { return "^(?:" + v.Pattern + ")$" }

// Flag is the flag of heddle bootstrap that gives the variable.
func (v Variable) Flag() string {
	switch v.Name {
	case "key_vault_url":
		return "--key-vault"
	case "secrets":
		return "--secret"
	case "join_token":
		return "--join-token-file"
	}
	return "--" + strings.ReplaceAll(v.Name, "_", "-")
}

// check says what is wrong with a value.
func (v Variable) check(value string) error {
	switch {
	case regexp.MustCompile(v.whole()).MatchString(value):
		return nil
	case value == "":
		return fmt.Errorf("%s is missing: %s", v.Flag(), v.Form)
	case v.Secret:
		return fmt.Errorf("%s is not %s", v.Flag(), v.Form)
	}
	return fmt.Errorf("%s %q is not %s", v.Flag(), value, v.Form)
}
