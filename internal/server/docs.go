package server

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle []byte

// The page's view of the description: only what the template shows.
type (
	docsView struct {
		API     *huma.OpenAPI
		Groups  []docsGroup
		Schemas []docsSchema
	}
	docsGroup struct {
		Tag        *huma.Tag
		Operations []docsOperation
	}
	docsOperation struct {
		*huma.Operation
		Method, Path string
		Token        bool
		Curl         string
		Body, Answer []docsType
		AnswerStatus string
		Headers      []docsField
		Refusals     []string
	}
	docsType struct {
		Name string // of a schema of ours, or ""
		Text string
	}
	docsSchema struct {
		Name   string
		Fields []docsField
	}
	docsField struct {
		Name, Text string
		Type       []docsType
		Required   bool
		ReadOnly   bool
	}
)

// docsPage makes the readable page of the description.
func docsPage(api *huma.OpenAPI) ([]byte, error) {
	view := docsView{API: api}
	for _, tag := range api.Tags {
		view.Groups = append(view.Groups, docsGroup{Tag: tag, Operations: operationsOf(api, tag.Name)})
	}
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		schema := docsSchema{Name: name}
		for _, field := range slices.Sorted(maps.Keys(schemas[name].Properties)) {
			property := schemas[name].Properties[field]
			schema.Fields = append(schema.Fields, docsField{
				Name: field, Text: fieldText(property), Type: typeText(property),
				Required: slices.Contains(schemas[name].Required, field), ReadOnly: property.ReadOnly,
			})
		}
		view.Schemas = append(view.Schemas, schema)
	}
	parsed, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, view)
	return out.Bytes(), err
}

func operationsOf(api *huma.OpenAPI, tag string) []docsOperation {
	var out []docsOperation
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, one := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if one == nil || !slices.Contains(one.Tags, tag) {
				continue
			}
			out = append(out, docsOperationOf(one, path))
		}
	}
	return out
}

func docsOperationOf(op *huma.Operation, path string) docsOperation {
	view := docsOperation{Operation: op, Method: op.Method, Path: path, Token: len(op.Security) > 0}
	if op.RequestBody != nil {
		view.Body = typeText(op.RequestBody.Content["application/json"].Schema)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if !strings.HasPrefix(status, "2") {
			view.Refusals = append(view.Refusals, status+" "+op.Responses[status].Description)
			continue
		}
		view.AnswerStatus = status
		if content := op.Responses[status].Content["application/json"]; content != nil {
			view.Answer = typeText(content.Schema)
		}
		for _, name := range slices.Sorted(maps.Keys(op.Responses[status].Headers)) {
			header := op.Responses[status].Headers[name]
			view.Headers = append(view.Headers, docsField{Name: name, Text: cmp.Or(header.Description, header.Schema.Description)})
		}
	}
	view.Curl = curl(op, path)
	return view
}

// curl writes a command that works as it stands, once TOKEN is set.
func curl(op *huma.Operation, path string) string {
	for _, param := range op.Parameters {
		if param.In == "path" && param.Schema != nil && len(param.Schema.Examples) > 0 {
			path = strings.ReplaceAll(path, "{"+param.Name+"}", fmt.Sprint(param.Schema.Examples[0]))
		}
	}
	command := "curl -s"
	if op.OperationID == streamOperation {
		command = "curl -sN"
	}
	if op.Method != http.MethodGet {
		command += " -X " + op.Method
	}
	command += " http://127.0.0.1:7080" + path
	if len(op.Security) > 0 {
		command += " \\\n  -H \"Authorization: Bearer $TOKEN\""
	}
	if op.RequestBody != nil {
		if example, ok := op.RequestBody.Content["application/json"].Example.(json.RawMessage); ok {
			command += " \\\n  -d '" + string(example) + "'"
		}
	}
	return command
}

// typeText names a type, with the names of our schemas apart, to be linked.
func typeText(s *huma.Schema) []docsType {
	switch {
	case s == nil:
		return nil
	case s.Ref != "":
		return []docsType{{Name: strings.TrimPrefix(s.Ref, schemaPrefix)}}
	case len(s.OneOf) > 0:
		return joinTypes(s.OneOf)
	case len(s.AnyOf) > 0:
		return joinTypes(s.AnyOf)
	case s.Type == huma.TypeArray:
		return append([]docsType{{Text: "list of "}}, typeText(s.Items)...)
	case s.Type == huma.TypeObject:
		if items, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return append([]docsType{{Text: "map of "}}, typeText(items)...)
		}
	}
	return []docsType{{Text: cmp.Or(s.Type, "anything")}}
}

func joinTypes(all []*huma.Schema) []docsType {
	var out []docsType
	for i, one := range all {
		if i > 0 {
			out = append(out, docsType{Text: " or "})
		}
		out = append(out, typeText(one)...)
	}
	return out
}

func fieldText(s *huma.Schema) string {
	text := s.Description
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			values[i] = fmt.Sprint(value)
		}
		text += " One of " + strings.Join(values, ", ") + "."
	}
	if s.Minimum != nil && s.Maximum != nil {
		text += fmt.Sprintf(" %v to %v.", *s.Minimum, *s.Maximum)
	}
	return strings.TrimSpace(text)
}
