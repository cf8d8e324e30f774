package ui

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/propertytest"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

var ownerText = form.Item{Kind: form.Text, Path: "owner", Label: "Owner"}

func lookNowhere(string, string, []string) (listed, found []form.Listed) { return nil, nil }

// posted is what a browser sends of a form that nobody touched.
func posted(nodes []form.Node, out url.Values) {
	for i := range nodes {
		n := &nodes[i]
		switch n.Kind {
		case form.Flag:
			if n.Text != "" {
				out.Add(n.Name, "true")
			}
		case form.Optional:
			if n.On {
				out.Add(n.Name+"#on", "true")
			}
		case form.List:
			if n.Place > 0 {
				out.Add(n.Name+"#row", n.Was)
			}
		case form.Either:
			out.Add(n.Name+"#which", n.Which)
		case form.OneOf:
			out.Add(n.Name+"#which", n.Which)
			out.Add(n.Name+"#value", line(n.Text))
		case form.Checks:
			for _, one := range n.Options {
				if one.Is {
					out.Add(n.Name, one.Value)
				}
			}
		case form.Deliberate:
			out.Add(n.Name+"#which", n.Which)
			out.Add(n.Name, crlf(n.Text))
		case form.Area, form.Lines, form.Labels, form.Names:
			out.Add(n.Name, crlf(n.Text))
		case form.Choice:
			chosen := ""
			if len(n.Options) > 0 {
				chosen = n.Options[0].Value
			}
			for _, one := range n.Options {
				if one.Is {
					chosen = one.Value
				}
			}
			out.Add(n.Name, chosen)
		case form.Text, form.Whole, form.Decimal, form.Duration:
			out.Add(n.Name, line(n.Text))
		}
		posted(n.Nodes, out)
	}
}

func crlf(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
}

func line(text string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(text) }

// unchanged sends an object through its form.
func unchanged[T any](t *rapid.T, items []form.Item, object T) {
	texts, err := form.Fill(items, object)
	if err != nil {
		t.Fatal(err)
	}
	values := url.Values{}
	posted(form.Show(items, texts, nil, "", lookNowhere).Nodes, values)
	var got T
	read, err := form.Read(items, values)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := read.Build(items, object, &got)
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	before, _ := json.Marshal(object)
	after, _ := json.Marshal(got)
	if string(before) != string(after) {
		t.Fatalf("%s\nbecame\n%s", before, after)
	}
}

var oddTexts = []string{"", "a", "x-canary", "two\nlines", "\nthree\n\n", " led by a space", "a=b", "=", `"quoted" <b>`, "ünï", "10.0.0.1", "true", "0", "\ttab"}

// drawAny fills in whatever a value of the model may hold.
func drawAny(t *rapid.T, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				drawAny(t, v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			drawAny(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, "n")
		if n == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			drawAny(t, v.Index(i), depth+1)
			if v.Index(i).Kind() == reflect.String { // a list of names has no empty ones
				v.Index(i).SetString(rapid.SampledFrom([]string{"a", "b-1", "gateway/edge", "5xx", "reset", "GET", "10.0.0.2:53"}).Draw(t, "name"))
			}
		}
	case reflect.Map:
		made := reflect.MakeMap(v.Type())
		for range rapid.IntRange(1, 3).Draw(t, "n") {
			made.SetMapIndex(reflect.ValueOf(rapid.SampledFrom([]string{"a", "a=b", "v"}).Draw(t, "key")), reflect.ValueOf(rapid.SampledFrom(oddTexts).Draw(t, "value")))
		}
		v.Set(made)
	case reflect.String:
		v.SetString(rapid.SampledFrom(oddTexts).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "is"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(0, 1_000_000).Draw(t, "number"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(0, 100).Draw(t, "percent"))
	}
}

// settle makes of what was drawn something that can be stored at all, as far as a
// form depends on that: of alternatives there is one.
func settle(matches ...*mesh.RequestMatch) {
	one := func(exact, prefix, regex *string) {
		if *exact != "" {
			*prefix = ""
		}
		if *exact != "" || *prefix != "" {
			*regex = ""
		}
	}
	for _, m := range matches {
		if p := m.Path; p != nil {
			if one(&p.Exact, &p.Prefix, &p.Regex); *p == (mesh.PathMatch{}) {
				m.Path = nil
			}
		}
		for i := range m.Headers {
			h := &m.Headers[i]
			one(&h.Exact, &h.Prefix, &h.Regex)
		}
		for i := range m.Query {
			q := &m.Query[i]
			one(&q.Exact, &q.Prefix, &q.Regex)
		}
	}
}

func TestEditingWithoutAChangeChangesNothing(t *testing.T) {
	propertytest.Check(t, func(t *rapid.T) {
		var s mesh.Service
		drawAny(t, reflect.ValueOf(&s).Elem(), 0)
		switch {
		case s.Endpoints.Kubernetes != nil:
			s.Endpoints.DNS, s.Endpoints.Static = nil, nil
		case s.Endpoints.DNS != nil:
			s.Endpoints.Static = nil
		}
		if s.HealthCheck != nil {
			s.HealthCheck.Type = rapid.SampledFrom([]mesh.HealthCheckType{mesh.CheckHTTP, mesh.CheckGRPC, mesh.CheckTCP}).Draw(t, "type")
		}
		if s.Dependencies == nil {
			s.Dependencies = []mesh.ServiceName{}
		}
		for i := range s.Routes {
			settle(&s.Routes[i].Match)
		}
		unchanged(t, serviceFields(ownerText, true), s)
		var r mesh.Route
		drawAny(t, reflect.ValueOf(&r).Elem(), 0)
		settle(&r.Match)
		unchanged(t, routeFields(ownerText, true), r)
	})
}

// formless is what no form has a field for.
var formless = []string{"meta"}

// fieldsOf gives the paths of all values that a type of the model holds.
func fieldsOf(of reflect.Type, path string) []string {
	var out []string
	switch of.Kind() {
	case reflect.Pointer:
		return fieldsOf(of.Elem(), path)
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Struct {
			return fieldsOf(of.Elem(), path)
		}
	case reflect.Struct:
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if at := strings.TrimPrefix(path+"."+name, "."); name != "-" && !slices.Contains(formless, at) {
				out = append(out, fieldsOf(of.Field(i).Type, at)...)
			}
		}
		return out
	}
	return []string{path}
}

func itemPaths(items []form.Item, path string) []string {
	var out []string
	for _, one := range items {
		at := strings.Trim(path+"."+one.Path, ".")
		if one.Kind == form.OneOf {
			for _, option := range one.Choices {
				out = append(out, at+"."+option.Value)
			}
		}
		out = append(append(out, at), itemPaths(one.Items, at)...)
	}
	return out
}

func TestEveryFieldOfTheModelHasOneInItsForm(t *testing.T) {
	for name, one := range map[string]struct {
		of    reflect.Type
		items []form.Item
	}{
		"service": {reflect.TypeFor[mesh.Service](), serviceFields(ownerText, false)},
		"route":   {reflect.TypeFor[mesh.Route](), routeFields(ownerText, false)},
	} {
		paths := itemPaths(one.items, "")
		for _, field := range fieldsOf(one.of, "") {
			if !slices.Contains(paths, field) {
				t.Errorf("the form of a %s has no field for %s", name, field)
			}
		}
	}
}
