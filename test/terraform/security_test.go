package terraform

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// rule is something that no resource may have. The bad one is refused by it: a rule that
// refuses nothing is none.
type rule struct {
	name  string
	wrong func(b block) bool
	bad   string
}

// is says whether an argument is written as this very expression.
func (b block) is(name, expression string) bool {
	argument := b.Body.Attributes[name]
	return argument != nil && b.source(argument.Expr.Range()) == expression
}

// inner says whether some block within has what has says.
func (b block) inner(kind string, has func(block) bool) bool {
	return slices.ContainsFunc(b.Body.Blocks, func(one *hclsyntax.Block) bool {
		inside := block{one, b.file, b.text}
		return one.Type == kind && has(inside) || inside.inner(kind, has)
	})
}

func (b block) resource(names ...string) bool {
	return b.Type == "resource" && slices.Contains(names, b.Labels[0])
}

func (b block) machine() bool {
	return b.resource("azurerm_linux_virtual_machine", "azurerm_linux_virtual_machine_scale_set")
}

var rules = []rule{
	{
		"machines take no passwords",
		func(b block) bool {
			return b.machine() && (!b.is("disable_password_authentication", "true") || b.Body.Attributes["admin_password"] != nil)
		},
		`resource "azurerm_linux_virtual_machine" "x" { admin_password = var.password }`,
	}, {
		"machines boot what is signed, and say why they do not",
		func(b block) bool {
			return b.machine() && (!b.is("secure_boot_enabled", "true") || !b.is("vtpm_enabled", "true") || !b.inner("boot_diagnostics", func(block) bool { return true }))
		},
		`resource "azurerm_linux_virtual_machine_scale_set" "x" { secure_boot_enabled = true }`,
	}, {
		"disks are encrypted on their hosts if that is asked for, and by the key that is asked for",
		func(b block) bool {
			return b.machine() && (!b.is("encryption_at_host_enabled", "var.encryption_at_host") ||
				!b.inner("os_disk", func(disk block) bool { return disk.is("disk_encryption_set_id", "var.disk_encryption_set_id") }))
		},
		`resource "azurerm_linux_virtual_machine" "x" { encryption_at_host_enabled = false }`,
	}, {
		"data disks cannot be exported",
		func(b block) bool {
			return b.resource("azurerm_managed_disk") && (!b.is("network_access_policy", `"DenyAll"`) || !b.is("public_network_access_enabled", "false") ||
				!b.is("disk_encryption_set_id", "var.disk_encryption_set_id"))
		},
		`resource "azurerm_managed_disk" "x" { network_access_policy = "AllowAll" }`,
	}, {
		"machines have no public addresses",
		func(b block) bool {
			public := func(one block) bool {
				return one.Body.Attributes["public_ip_address_id"] != nil || one.inner("public_ip_address", func(block) bool { return true })
			}
			return b.resource("azurerm_network_interface") && b.inner("ip_configuration", public) || b.machine() && b.inner("ip_configuration", public)
		},
		`resource "azurerm_network_interface" "x" {
  ip_configuration { public_ip_address_id = azurerm_public_ip.x.id }
}`,
	}, {
		"Key Vaults are closed to the Internet, give rights by roles, and cannot be purged",
		func(b block) bool {
			return b.resource("azurerm_key_vault") && (!b.is("public_network_access_enabled", "false") || !b.is("rbac_authorization_enabled", "true") ||
				!b.is("purge_protection_enabled", "true") || !b.is("soft_delete_retention_days", "90") ||
				!b.inner("network_acls", func(acls block) bool { return acls.is("default_action", `"Deny"`) && acls.is("bypass", `"None"`) }))
		},
		`resource "azurerm_key_vault" "x" { public_network_access_enabled = true }`,
	}, {
		"subnets have no way out but the one that is made for them",
		func(b block) bool {
			return b.resource("azurerm_subnet") && (!b.is("default_outbound_access_enabled", "false") || !b.is("private_endpoint_network_policies", `"Enabled"`))
		},
		`resource "azurerm_subnet" "x" {}`,
	}, {
		"roles are the three that are needed",
		func(b block) bool {
			return b.resource("azurerm_role_assignment") && (b.Body.Attributes["role_definition_id"] != nil ||
				!b.is("role_definition_name", `"Reader"`) && !b.is("role_definition_name", `"Key Vault Secrets User"`) && !b.is("role_definition_name", `"Key Vault Secrets Officer"`))
		},
		`resource "azurerm_role_assignment" "x" { role_definition_name = "Contributor" }`,
	}, {
		"no right is for a whole subscription or a whole vault",
		func(b block) bool {
			if !b.resource("azurerm_role_assignment") {
				return false
			}
			scope := b.Body.Attributes["scope"]
			if scope == nil {
				return true
			}
			text := b.source(scope.Expr.Range())
			of := ""
			if each := b.Body.Attributes["for_each"]; each != nil {
				of = b.source(each.Expr.Range())
			}
			return (text != "each.value" || of != "local.secret_ids" && !strings.HasPrefix(of, "merge({ join = var.join_secret.id }")) && !strings.Contains(text, "/resourceGroups/${each.value}\"")
		},
		`resource "azurerm_role_assignment" "x" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Reader"
}`,
	}, {
		"nothing is made that would leave a secret in the state",
		func(b block) bool {
			if b.Type != "resource" && b.Type != "data" {
				return false
			}
			for _, word := range []string{"azurerm_key_vault_secret", "azurerm_key_vault_key", "azurerm_key_vault_certificate", "tls_", "random_", "_sas", "azuread_", "azurerm_storage_account"} {
				if strings.Contains(b.Labels[0], word) {
					return true
				}
			}
			return b.inner("extension", func(e block) bool { return e.Body.Attributes["protected_settings"] != nil }) || b.Body.Attributes["user_data"] != nil
		},
		`resource "azurerm_key_vault_secret" "token" { value = var.token }`,
	}, {
		"no input is a secret",
		func(b block) bool {
			if b.Type != "variable" {
				return false
			}
			name := b.Labels[0]
			return b.Body.Attributes["sensitive"] != nil || strings.Contains(name, "password") || strings.Contains(name, "token") || strings.HasSuffix(name, "private_key")
		},
		`variable "join_token" { type = string }`,
	}, {
		"nothing is run from here on machines or on the machine of whoever applies it",
		func(b block) bool {
			return b.inner("provisioner", func(block) bool { return true }) || len(b.Labels) > 0 && (strings.HasPrefix(b.Labels[0], "null_") || b.Labels[0] == "external" || b.Labels[0] == "http")
		},
		`resource "azurerm_subnet" "x" {
  default_outbound_access_enabled = false
  provisioner "local-exec" { command = "id" }
}`,
	},
}

func TestTheModulesAreSecure(t *testing.T) {
	var blocks []block
	for _, kind := range []string{"resource", "data", "variable"} {
		blocks = append(blocks, all(t, kind)...)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, b := range blocks {
				if r.wrong(b) {
					t.Errorf("%s: %s %s", b.file, b.Type, strings.Join(b.Labels, "."))
				}
			}
			parsed, faults := hclparse.NewParser().ParseHCL([]byte(r.bad), "bad.tf")
			if faults.HasErrors() {
				t.Fatal(faults)
			}
			for _, one := range parsed.Body.(*hclsyntax.Body).Blocks {
				if !r.wrong(block{one, "bad.tf", []byte(r.bad)}) {
					t.Errorf("the rule refuses nothing: it let through %s", r.bad)
				}
			}
		})
	}
}
