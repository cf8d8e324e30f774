package cloudinit_test

import (
	"encoding/base64"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/heddle-mesh/heddle/internal/cloudinit"
)

// odd are endings of values that would get out of a line of YAML, of shell, of an
// environment file of systemd or of a template, if they were let.
var odd = []string{"'", `"`, "\n", "\r", "\nruncmd: [x]", "\\", "$(id)", "${x}", "$x", "`id`", "%{ if x }", "{{ ds }}", "#c", " #c", "ü", "\u2028", "\x00", "|", "<", ">", "(", "!"}

func TestNoValueGetsOutOfItsPlace(t *testing.T) {
	for _, sort := range sorts[:5] {
		for _, variable := range cloudinit.Variables(sort.role) {
			values := of(sort.role, machine(sort.change))
			if variable.Pattern == "" || values[variable.Name] == "" {
				continue
			}
			for _, ending := range odd {
				values := of(sort.role, machine(sort.change))
				values[variable.Name] += ending
				if _, err := cloudinit.Config(sort.role, values); err == nil || !strings.Contains(err.Error(), variable.Flag()) {
					t.Errorf("%s: the command takes %s=%q: %v", sort.name, variable.Name, values[variable.Name], err)
				}
				if _, err := templatefile(cloudinit.Template(sort.role), values); err == nil {
					t.Errorf("%s: the template takes %s=%q", sort.name, variable.Name, values[variable.Name])
				}
			}
		}
	}
}

// TestNothingIsInstalledWithoutItsSum has no machine run what nobody vouches for.
func TestNothingIsInstalledWithoutItsSum(t *testing.T) {
	for _, name := range []string{"heddle_sha256", "envoy_sha256"} {
		for _, value := range []string{"", "latest", strings.Repeat("0", 40), strings.Repeat("0", 65)} {
			values := of(cloudinit.Gateway, machine(map[string]string{name: value, "join_token": ""}))
			if _, err := cloudinit.Config(cloudinit.Gateway, values); err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(name, "_", "-")) {
				t.Errorf("%s=%q is taken: %v", name, value, err)
			}
		}
	}
}

// TestSecretsAreNotRepeatedInErrors keeps tokens that are mistyped out of logs.
func TestSecretsAreNotRepeatedInErrors(t *testing.T) {
	values := of(cloudinit.Gateway, machine(sorts[3].change))
	values["join_token"] = "hdj_secret'"
	if _, err := cloudinit.Config(cloudinit.Gateway, values); err == nil || strings.Contains(err.Error(), "secret'") {
		t.Errorf("refused with %v", err)
	}
}

// TestTextOfAnyKindArrives reads what cloud-init would write.
func TestTextOfAnyKindArrives(t *testing.T) {
	for _, ending := range odd {
		values := of(cloudinit.Backend, machine(map[string]string{"join_token": "", "app_script": "#!/bin/sh\n" + ending + "\n\tlast" + ending}))
		text, err := templatefile(cloudinit.Template(cloudinit.Backend), values)
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			WriteFiles []struct{ Path, Content string } `yaml:"write_files"`
		}
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range config.WriteFiles {
			if file.Path == "/usr/local/lib/heddle/app" {
				got, err := base64.StdEncoding.DecodeString(file.Content)
				found = err == nil && string(got) == values["app_script"]
			}
		}
		if !found {
			t.Errorf("%q does not arrive", values["app_script"])
		}
	}
}
