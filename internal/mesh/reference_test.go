package mesh_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

var update = flag.Bool("update", false, "write docs/reference/model.md anew")

const referencePage = "../../docs/reference/model.md"

// TestReferencePageIsUpToDate holds the page to the struct tags, so that no
// field is without a description and the page is always true.
func TestReferencePageIsUpToDate(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# The model: every field\n\n<!-- Written by `go test ./internal/mesh -update` from the tags of the Go types. -->\n\n" +
		"Files for `heddle apply` name the `kind` beside these fields; the REST API takes the fields alone. Durations have a unit\n" +
		"(`250ms`, `5s`, `1m30s`). A field is optional unless it says *required*. Fields that do not exist are refused.\n")
	d := &describer{page: &page, done: map[reflect.Type]bool{}}
	for _, kind := range []any{mesh.Service{}, mesh.Instance{}, mesh.Route{}, mesh.Runtime{}, mesh.Proxy{}} {
		d.describe(t, reflect.TypeOf(kind))
	}
	if *update {
		if err := os.WriteFile(referencePage, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, page.Bytes()) {
		t.Error("docs/reference/model.md is not up to date: run go test ./internal/mesh -update")
	}
}

type describer struct {
	page *bytes.Buffer
	done map[reflect.Type]bool
}

func (d *describer) describe(t *testing.T, typ reflect.Type) {
	if d.done[typ] {
		return
	}
	d.done[typ] = true
	fmt.Fprintf(d.page, "\n## %s\n\n| field | type | what it is |\n| --- | --- | --- |\n", typ.Name())
	var nested []reflect.Type
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		text := field.Tag.Get("doc")
		if !strings.Contains(options, "omit") && typ != reflect.TypeFor[mesh.Proxy]() {
			text = strings.TrimSpace("*Required.* " + text)
		}
		if values := field.Tag.Get("enum"); values != "" {
			text += " One of `" + strings.ReplaceAll(values, ",", "`, `") + "`."
		}
		if most := field.Tag.Get("maximum"); most != "" {
			text += " From " + field.Tag.Get("minimum") + " to " + most + "."
		}
		if field.Tag.Get("doc") == "" {
			t.Errorf("%s.%s has no description", typ.Name(), name)
		}
		fmt.Fprintf(d.page, "| `%s` | %s | %s |\n", name, typeName(field.Type, &nested), strings.TrimSpace(text))
	}
	for _, n := range nested {
		d.describe(t, n)
	}
}

func typeName(typ reflect.Type, nested *[]reflect.Type) string {
	switch typ.Kind() {
	case reflect.Pointer:
		return typeName(typ.Elem(), nested)
	case reflect.Slice:
		return "list of " + typeName(typ.Elem(), nested)
	case reflect.Map:
		return "map of " + typeName(typ.Key(), nested) + " to " + typeName(typ.Elem(), nested)
	case reflect.Struct:
		if typ.PkgPath() == "time" {
			return "time"
		}
		*nested = append(*nested, typ)
		return fmt.Sprintf("[%s](#%s)", typ.Name(), strings.ToLower(typ.Name()))
	case reflect.Interface:
		return "number, string or boolean"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		if typ == reflect.TypeFor[mesh.Duration]() {
			return "duration"
		}
		return "whole number"
	}
	return "string"
}
