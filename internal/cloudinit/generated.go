package cloudinit

import "strings"

// Files are what is generated into deploy/, by the paths there.
func Files() map[string]string {
	out := map[string]string{templates + "README.md": readme()}
	for _, role := range Roles {
		out[templates+string(role)+".yaml.tftpl"] = Template(role)
	}
	for file, text := range Units() {
		out["systemd/"+file] = text
	}
	return out
}

const templates = "terraform/azure/cloud-init/"

// Variables are those of a role's document, in its order.
func Variables(role Role) []Variable {
	seen := &uses{}
	write(seen, role)
	out := make([]Variable, 0, len(seen.names))
	for _, name := range seen.names {
		out = append(out, find(name))
	}
	return out
}

// uses notes the variables of a document.
type uses struct{ names []string }

func (u *uses) text(string)         {}
func (u *uses) value(name string)   { u.note(name) }
func (u *uses) encoded(name string) { u.note(name) }

func (u *uses) when(name string, then func())   { u.note(name); then() }
func (u *uses) unless(name string, then func()) { u.note(name); then() }

func (u *uses) note(name string) {
	for _, seen := range u.names {
		if seen == name {
			return
		}
	}
	u.names = append(u.names, name)
}

// readme is the page beside the templates.
func readme() string {
	var out strings.Builder
	out.WriteString(`# Templates of cloud-init

Made by hack/generate.sh from internal/cloudinit, which ` + "`heddle bootstrap --cloud-init`" + ` prints the same documents of. Give them to
Terraform's ` + "`templatefile`" + ` with all variables of the table, and the outcome, in base64, to the machine as its custom data:

` + "```hcl" + `
custom_data = base64encode(templatefile("${path.module}/../../cloud-init/gateway.yaml.tftpl", { gateway = "edge", ... }))
` + "```" + `

All variables are strings, and Terraform wants every one that a template names; those that may be empty can be ` + "`\"\"`" + `. What does not have the form is
refused when the template is rendered ("pattern did not match"), so no value can be anything but the value of its setting. A join token comes
from a Key Vault (` + "`key_vault_url`, `join_secret`" + `), or, short-lived, from ` + "`join_token`" + `, which is only looked at without a Key Vault.
`)
	for _, role := range Roles {
		out.WriteString("\n## " + string(role) + ".yaml.tftpl\n\n| variable | what | form |\n| --- | --- | --- |\n")
		for _, v := range Variables(role) {
			form := v.Form
			if v.Pattern == "" {
				form = "any text"
			}
			out.WriteString("| `" + v.Name + "` | " + v.About + " | " + form + " |\n")
		}
	}
	return out.String()
}
