package terraform

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

var schemaFrom = flag.String("schema", "", "the output of terraform providers schema -json, to write schema.json from")

// schema is what schema.json keeps of the provider's: of the types in use, all arguments
// and nested blocks. Of attributes that only the provider writes nothing is left.
type schema struct {
	Provider  string          `json:"provider"`
	Resources map[string]body `json:"resources"`
	Data      map[string]body `json:"data"`
}

// body is a block: its arguments, true for those that have to be given, and its blocks.
type body struct {
	Arguments map[string]bool   `json:"arguments,omitempty"`
	Blocks    map[string]nested `json:"blocks,omitempty"`
}

// nested is how often a block may be there. Most is 0 for any number.
type nested struct {
	body
	Least int `json:"least,omitempty"`
	Most  int `json:"most,omitempty"`
}

// builtIn is a resource of Terraform's own.
const builtIn = "terraform_data"

// own are arguments that Terraform itself has for each resource or data source.
var own = []string{"count", "for_each", "depends_on", "provider"}

// Every resource and data source has arguments and blocks that the real provider knows,
// and none lacks one that it demands.
func TestTheModulesFitTheProvider(t *testing.T) {
	if *schemaFrom != "" {
		write(t, *schemaFrom)
	}
	data, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	known := schema{}
	if err := json.Unmarshal(data, &known); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for kind, types := range map[string]map[string]body{"resource": known.Resources, "data": known.Data} {
		for _, one := range all(t, kind) {
			if one.Labels[0] == builtIn {
				continue
			}
			used[kind+" "+one.Labels[0]] = true
			want, ok := types[one.Labels[0]]
			if !ok {
				t.Errorf("%s: schema.json has no %s %s: if the provider has it, run hack/test-terraform.sh -update", one.file, kind, one.Labels[0])
				continue
			}
			fits(t, one.file+": "+one.Labels[0]+"."+one.Labels[1], one.Body, want, true)
		}
		for name := range types {
			if !used[kind+" "+name] {
				t.Errorf("schema.json has %s %s, which nothing uses: run hack/test-terraform.sh -update", kind, name)
			}
		}
	}
}

// fits compares what is written in a block with what the provider takes.
func fits(t *testing.T, where string, got *hclsyntax.Body, want body, top bool) {
	t.Helper()
	for name, argument := range got.Attributes {
		if _, ok := want.Arguments[name]; !ok && (!top || !slices.Contains(own, name)) {
			t.Errorf("%s has no argument %q (line %d)", where, name, argument.SrcRange.Start.Line)
		}
	}
	for name, needed := range want.Arguments {
		if needed && got.Attributes[name] == nil {
			t.Errorf("%s lacks the argument %q", where, name)
		}
	}
	counts := map[string]int{}
	for _, inner := range got.Blocks {
		if top && inner.Type == "lifecycle" {
			continue
		}
		counts[inner.Type]++
		inside, ok := want.Blocks[inner.Type]
		if !ok {
			t.Errorf("%s has no block %q (line %d)", where, inner.Type, inner.TypeRange.Start.Line)
			continue
		}
		fits(t, where+"."+inner.Type, inner.Body, inside.body, false)
	}
	for name, inside := range want.Blocks {
		if counts[name] < inside.Least || inside.Most > 0 && counts[name] > inside.Most {
			t.Errorf("%s has the block %q %d times: at least %d, at most %d (0: any number)", where, name, counts[name], inside.Least, inside.Most)
		}
	}
}

// write keeps of the provider's whole schema what is in use.
func write(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type attribute struct {
		Required, Optional bool
	}
	type whole struct {
		Attributes map[string]attribute `json:"attributes"`
		Blocks     map[string]struct {
			Block json.RawMessage `json:"block"`
			Least int             `json:"min_items"`
			Most  int             `json:"max_items"`
		} `json:"block_types"`
	}
	var trim func(json.RawMessage) body
	trim = func(raw json.RawMessage) body {
		in, out := whole{}, body{Arguments: map[string]bool{}, Blocks: map[string]nested{}}
		if err := json.Unmarshal(raw, &in); err != nil {
			t.Fatal(err)
		}
		for name, a := range in.Attributes {
			if a.Required || a.Optional {
				out.Arguments[name] = a.Required
			}
		}
		for name, b := range in.Blocks {
			out.Blocks[name] = nested{trim(b.Block), b.Least, b.Most}
		}
		return out
	}
	type typed = map[string]struct {
		Block json.RawMessage `json:"block"`
	}
	in := struct {
		Providers map[string]struct {
			Resources typed `json:"resource_schemas"`
			Data      typed `json:"data_source_schemas"`
		} `json:"provider_schemas"`
	}{}
	if err := json.Unmarshal(data, &in); err != nil {
		t.Fatal(err)
	}
	const provider = "registry.terraform.io/hashicorp/azurerm"
	out := schema{Provider: "azurerm 5.2.0", Resources: map[string]body{}, Data: map[string]body{}}
	pick := func(kind string, from typed, to map[string]body) {
		for _, one := range all(t, kind) {
			if one.Labels[0] == builtIn {
				continue
			}
			found, ok := from[one.Labels[0]]
			if !ok {
				t.Fatalf("%s: the provider has no %s %s", one.file, kind, one.Labels[0])
			}
			to[one.Labels[0]] = trim(found.Block)
		}
	}
	pick("resource", in.Providers[provider].Resources, out.Resources)
	pick("data", in.Providers[provider].Data, out.Data)
	text, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("schema.json", append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("schema.json has %v", slices.Sorted(maps.Keys(out.Resources)))
}
