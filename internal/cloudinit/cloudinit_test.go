package cloudinit_test

import (
	"encoding/base64"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/heddle-mesh/heddle/internal/cloudinit"
)

var update = flag.Bool("update", false, "write deploy/ anew")

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	const deploy = "../../deploy/"
	files := cloudinit.Files()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(deploy, path)
		if *update {
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, []byte(files[path]), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(at, 0o644); err != nil { //nolint:gosec // as all of the tree
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(at); err != nil || string(have) != files[path] {
			t.Errorf("%s is not up to date (%v): run hack/generate.sh", path, err)
		}
	}
	for _, folder := range []string{"systemd", "terraform/azure/cloud-init"} {
		err := filepath.WalkDir(deploy+folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && files[strings.TrimPrefix(filepath.ToSlash(path), deploy)] == "" {
				t.Errorf("%s is not generated any more: remove it", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// machine gives a role with values that are all allowed; change alters them.
func machine(change map[string]string) map[string]string {
	values := map[string]string{
		"heddle_url": "https://files.example.com/heddle-1.0.0?sig=a%2Fb", "heddle_sha256": strings.Repeat("0a", 32),
		"envoy_url": "https://files.example.com/envoy-1.40.0", "envoy_sha256": strings.Repeat("1b", 32),
		"control_plane_url": "https://10.0.0.4:7443", "control_plane_xds": "10.0.0.4:18443,[fd00::5]:18443",
		"region": "westeurope", "zone": "1",
		"listen_address": "10.0.0.4", "discovery": "sources: [{name: \"${dc}\"}]\n", "server_flags": "--mtls strict",
		"gateway": "edge", "service": "orders", "app_port": "8080", "app_script": "#!/bin/sh\necho \"%{ if } ${x} 'ü'\"\n", "proxy_flags": "--label version=v2",
		"key_vault_url": "https://mesh.vault.azure.net", "join_secret": "join-orders", "secrets": "edge-cert=tls.pem edge-key=tls.key",
		"identity_client_id": "6f0e6f0e-1111-2222-3333-6f0e6f0e6f0e", "join_token": "hdj_0123456789ab_cdef.ff",
	}
	maps.Copy(values, change)
	return values
}

// of leaves the values of a role's document.
func of(role cloudinit.Role, values map[string]string) map[string]string {
	out := map[string]string{}
	for _, v := range cloudinit.Variables(role) {
		out[v.Name] = values[v.Name]
	}
	return out
}

// sorts are the machines that differ in what their documents have.
var sorts = []struct {
	name   string
	role   cloudinit.Role
	change map[string]string
}{
	{"a control plane", cloudinit.ControlPlane, nil},
	{"a control plane without anything that may be left out", cloudinit.ControlPlane, map[string]string{"discovery": "", "server_flags": "", "key_vault_url": "", "secrets": "", "identity_client_id": ""}},
	{"a gateway", cloudinit.Gateway, map[string]string{"join_token": ""}},
	{"a gateway with a join token", cloudinit.Gateway, map[string]string{"key_vault_url": "", "join_secret": "", "secrets": "", "identity_client_id": "", "region": "", "zone": "", "proxy_flags": ""}},
	{"a backend", cloudinit.Backend, map[string]string{"join_token": ""}},
	{"a backend that only calls", cloudinit.Backend, map[string]string{"join_token": "", "app_port": "", "app_script": ""}},
	{"a backend without a sidecar", cloudinit.Backend, map[string]string{"service": ""}},
	{"a backend without anything", cloudinit.Backend, map[string]string{"service": "", "app_script": ""}},
}

// TestTemplatesGiveWhatTheCommandPrints renders them as Terraform's templatefile does.
func TestTemplatesGiveWhatTheCommandPrints(t *testing.T) {
	for _, sort := range sorts {
		t.Run(sort.name, func(t *testing.T) {
			values := of(sort.role, machine(sort.change))
			want, err := cloudinit.Config(sort.role, onlyUsed(sort.change, values))
			if err != nil {
				t.Fatal(err)
			}
			got, err := templatefile(cloudinit.Template(sort.role), values)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("Terraform renders\n%s\nthe command prints\n%s", got, want)
			}
		})
	}
}

// onlyUsed are the values that the command takes: it refuses those that it has no place
// for, while Terraform wants a value for each variable of a template.
func onlyUsed(change, values map[string]string) map[string]string {
	if service, given := change["service"]; given && service == "" {
		return map[string]string{"app_script": values["app_script"]}
	}
	return values
}

// templatefile is the function of Terraform of this name, for templates with strings.
func templatefile(text string, values map[string]string) (string, error) {
	expression, faults := hclsyntax.ParseTemplate([]byte(text), "a.tftpl", hcl.InitialPos)
	if faults.HasErrors() {
		return "", faults
	}
	context := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: map[string]function.Function{
		"regex":        stdlib.RegexFunc,
		"base64encode": base64encode,
	}}
	for name, value := range values {
		context.Variables[name] = cty.StringVal(value)
	}
	out, faults := expression.Value(context)
	if faults.HasErrors() {
		return "", faults
	}
	return out.AsString(), nil
}

var base64encode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
	},
})
