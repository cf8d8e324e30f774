package terraform

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const example = root + "/examples/mesh"

// offers are the resource providers of Azure that types of resources are of; "" is what
// each subscription has.
var offers = map[string]string{
	"azurerm_key_vault":                                 "Microsoft.KeyVault",
	"azurerm_lb":                                        "Microsoft.Network",
	"azurerm_lb_backend_address_pool":                   "Microsoft.Network",
	"azurerm_lb_probe":                                  "Microsoft.Network",
	"azurerm_lb_rule":                                   "Microsoft.Network",
	"azurerm_linux_virtual_machine":                     "Microsoft.Compute",
	"azurerm_linux_virtual_machine_scale_set":           "Microsoft.Compute",
	"azurerm_managed_disk":                              "Microsoft.Compute",
	"azurerm_nat_gateway":                               "Microsoft.Network",
	"azurerm_nat_gateway_public_ip_association":         "Microsoft.Network",
	"azurerm_network_interface":                         "Microsoft.Network",
	"azurerm_network_security_group":                    "Microsoft.Network",
	"azurerm_private_dns_a_record":                      "Microsoft.Network",
	"azurerm_private_dns_zone":                          "Microsoft.Network",
	"azurerm_private_dns_zone_virtual_network_link":     "Microsoft.Network",
	"azurerm_private_endpoint":                          "Microsoft.Network",
	"azurerm_public_ip":                                 "Microsoft.Network",
	"azurerm_resource_group":                            "",
	"azurerm_role_assignment":                           "",
	"azurerm_subnet":                                    "Microsoft.Network",
	"azurerm_subnet_nat_gateway_association":            "Microsoft.Network",
	"azurerm_subnet_network_security_group_association": "Microsoft.Network",
	"azurerm_user_assigned_identity":                    "Microsoft.ManagedIdentity",
	"azurerm_virtual_machine_data_disk_attachment":      "Microsoft.Compute",
	"azurerm_virtual_network":                           "Microsoft.Network",
}

// From version 5 on the provider registers nothing by itself, and a subscription that never
// had a Key Vault refuses to make one.
func TestTheExampleRegistersWhatTheModulesMake(t *testing.T) {
	wanted := map[string]bool{}
	for _, one := range all(t, "resource") {
		if one.Labels[0] == builtIn {
			continue
		}
		of, known := offers[one.Labels[0]]
		if !known {
			t.Errorf("%s: say in offers which resource provider of Azure has %s", one.file, one.Labels[0])
		}
		wanted[of] = of != ""
	}
	delete(wanted, "")
	for _, one := range read(t, example, ".tf") {
		if one.Type != "provider" {
			continue
		}
		list := one.Body.Attributes["resource_providers_to_register"]
		if list == nil {
			t.Fatalf("%s registers nothing", one.file)
		}
		value, faults := list.Expr.Value(nil)
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		var got []string
		for _, name := range value.AsValueSlice() {
			got = append(got, name.AsString())
		}
		if want := slices.Sorted(maps.Keys(wanted)); !slices.Equal(got, want) {
			t.Errorf("%s registers %v; the modules need %v", one.file, got, want)
		}
		page, err := os.ReadFile("../../docs/azure-terraform.md")
		if err != nil {
			t.Fatal(err)
		}
		if want := "for provider in " + strings.Join(got, " ") + ";"; !strings.Contains(string(page), want) {
			t.Errorf("docs/azure-terraform.md does not say %q", want)
		}
		return
	}
	t.Error("the example has no provider: does the test still see it?")
}

// The values that a reader starts from have all that is required, and how many machines
// there are: what is given by -var is forgotten by the next apply.
func TestTheExamplesValuesAreItsInputs(t *testing.T) {
	path := filepath.Join(example, "terraform.tfvars.example")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parsed, faults := hclparse.NewParser().ParseHCL(text, path)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	given := parsed.Body.(*hclsyntax.Body).Attributes
	known := map[string]bool{}
	for _, input := range read(t, example, ".tf") {
		if input.Type != "variable" {
			continue
		}
		name := input.Labels[0]
		known[name] = true
		required := input.Body.Attributes["default"] == nil || strings.HasSuffix(name, "_count")
		if required && given[name] == nil {
			t.Errorf("%s lacks %s", path, name)
		}
	}
	for name, one := range given {
		if !known[name] {
			t.Errorf("%s gives %s, which is no input", path, name)
		}
		if _, faults := one.Expr.Value(&hcl.EvalContext{}); faults.HasErrors() {
			t.Error(faults)
		}
	}
	if len(given) < 5 {
		t.Errorf("%s gives only %d values: does the test still see them?", path, len(given))
	}
}
