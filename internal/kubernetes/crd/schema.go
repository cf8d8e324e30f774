package crd

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// schemaOf describes a type of the model. Fields named in without are left out.
func schemaOf(t reflect.Type, without ...string) apiextensions.JSONSchemaProps {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return structOf(t, without)
	case reflect.Slice:
		items := schemaOf(t.Elem())
		return apiextensions.JSONSchemaProps{Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &items}}
	case reflect.Map:
		values := schemaOf(t.Elem())
		return apiextensions.JSONSchemaProps{Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{Allows: true, Schema: &values}}
	case reflect.Bool:
		return apiextensions.JSONSchemaProps{Type: "boolean"}
	case reflect.Float64:
		return apiextensions.JSONSchemaProps{Type: "number"}
	case reflect.String:
		return apiextensions.JSONSchemaProps{Type: "string"}
	case reflect.Int, reflect.Int64:
		if t == reflect.TypeFor[mesh.Duration]() {
			return apiextensions.JSONSchemaProps{Type: "string", MaxLength: new(int64(32)), Pattern: durationPattern}
		}
		return apiextensions.JSONSchemaProps{Type: "integer", Format: "int64"}
	}
	panic(fmt.Sprintf("crd: %s has no schema", t)) // a new kind of field of the model
}

func structOf(t reflect.Type, without []string) apiextensions.JSONSchemaProps {
	out := apiextensions.JSONSchemaProps{Type: "object", Properties: map[string]apiextensions.JSONSchemaProps{}, XValidations: objectRules[t.Name()]}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || name == "meta" || slices.Contains(without, name) {
			continue
		}
		one := schemaOf(field.Type)
		one.Description = field.Tag.Get("doc")
		bounds(&one, field)
		if limit, has := fieldLimits[t.Name()+"."+name]; has {
			limit(&one)
		} else if one.Type == "string" && len(one.Enum) == 0 && field.Type.Kind() == reflect.String {
			limitOfType(&one, t.Name()+"."+name, field.Type)
		} else if one.Type == "array" || one.AdditionalProperties != nil {
			panic("crd: fieldLimits has to bound " + t.Name() + "." + name)
		}
		if one.Type == "array" {
			limitItems(&one, field.Type.Elem())
		}
		out.Properties[name] = one
		if !strings.Contains(options, "omit") {
			out.Required = append(out.Required, name)
		}
	}
	return out
}

// limitOfType bounds a field that has no bounds of its own by what its type is.
func limitOfType(schema *apiextensions.JSONSchemaProps, where string, t reflect.Type) {
	switch t {
	case reflect.TypeFor[mesh.ServiceName](), reflect.TypeFor[mesh.RouteName]():
		label(schema)
	default:
		panic("crd: fieldLimits has to bound " + where)
	}
}

// limitItems bounds the items of a list of names.
func limitItems(list *apiextensions.JSONSchemaProps, element reflect.Type) {
	if element == reflect.TypeFor[mesh.ServiceName]() {
		label(list.Items.Schema)
	}
}

// aBound finds the bounds of a duration in its description.
var aBound = regexp.MustCompile(`From ([0-9a-z]+) to ([0-9a-z]+)\.`)

// bounds takes the bounds from a field's tags.
func bounds(schema *apiextensions.JSONSchemaProps, field reflect.StructField) {
	if field.Type == reflect.TypeFor[mesh.Duration]() {
		found := aBound.FindStringSubmatch(field.Tag.Get("doc"))
		if found == nil {
			panic("crd: the description of the duration " + field.Name + " does not say \"From … to ….\"")
		}
		schema.XValidations = rules(rule(
			fmt.Sprintf("duration(self) >= duration('%s') && duration(self) <= duration('%s')", found[1], found[2]),
			fmt.Sprintf("is out of range: use %s to %s", found[1], found[2])))
	}
	for tag, bound := range map[string]**float64{"minimum": &schema.Minimum, "maximum": &schema.Maximum} {
		if text := field.Tag.Get(tag); text != "" {
			number, err := strconv.ParseFloat(text, 64)
			if err != nil {
				panic("crd: " + field.Name + ": " + err.Error())
			}
			*bound = &number
		}
	}
	for value := range strings.SplitSeq(field.Tag.Get("enum"), ",") {
		if value == "" {
			continue
		}
		raw := []byte(value)
		if schema.Type == "string" {
			raw, _ = json.Marshal(value)
		}
		schema.Enum = append(schema.Enum, apiextensions.JSON{Raw: raw})
	}
}
