package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/manifest"
)

// web is a declaration without a fault; tests add lines behind it.
const web = `kind: Service
name: web
owner: team-web
protocol: http
port: 8080
dependencies: [orders]
`

func lines(faults []manifest.Fault) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.String())
	}
	return out
}

// names lists the objects with their lines.
func names(objects []manifest.Object) []string {
	var out []string
	for i := range objects {
		out = append(out, fmt.Sprintf("%d %s", objects[i].Line, &objects[i]))
	}
	return out
}

func TestParseAccepts(t *testing.T) {
	utf16 := "\xff\xfe"
	for _, c := range web {
		utf16 += string([]byte{byte(c), 0})
	}
	json := `{"kind": "Service", "name": "web", "owner": "t", "protocol": "tcp", "port": 1, "dependencies": []}`
	for name, test := range map[string]struct {
		file, text string
		want       []string
	}{
		"one document":            {text: web, want: []string{"1 service/web"}},
		"several documents":       {text: web + "---\n" + strings.Replace(web, "web", "b", 1), want: []string{"1 service/web", "8 service/b"}},
		"empty documents":         {text: "---\n# nothing\n---\n" + web + "---\n---\n", want: []string{"4 service/web"}},
		"nothing at all":          {text: ""},
		"only a comment":          {text: "# nothing\n"},
		"byte order mark":         {text: "\xef\xbb\xbf" + web, want: []string{"1 service/web"}},
		"UTF-16 of Windows":       {text: utf16, want: []string{"1 service/web"}},
		"CRLF":                    {text: strings.ReplaceAll(web, "\n", "\r\n"), want: []string{"1 service/web"}},
		"a list document":         {text: "- {kind: Runtime, values: {a: 1}}\n- kind: Instance\n  id: a-1\n  service: a\n  address: 10.0.0.1\n  port: 80\n", want: []string{"1 runtime", "2 instance/a/a-1"}},
		"kind List":               {text: "kind: List\nitems:\n- {kind: Runtime, values: {}}\n", want: []string{"3 runtime"}},
		"a List of other tools":   {text: "apiVersion: v1\nkind: List\nmetadata: {}\nitems: []\n"},
		"JSON":                    {text: json, want: []string{"1 service/web"}},
		"JSON list":               {text: "[\n" + json + ",\n" + json + "]", want: []string{"2 service/web", "3 service/web"}},
		"JSON lines":              {text: json + "\n" + json + "\n", want: []string{"1 service/web", "2 service/web"}},
		"JSON with tabs":          {file: "x.json", text: "{\n\t\"kind\": \"Runtime\",\n\t\"values\": {}\n}\n", want: []string{"1 runtime"}},
		"JSON surrogates":         {text: `{"kind": "Runtime", "values": {"a": "\ud83d\ude00"}}`, want: []string{"1 runtime"}},
		"flow YAML":               {text: "{kind: Runtime, values: {a: yesterday}}", want: []string{"1 runtime"}},
		"anchors":                 {text: "kind: Runtime\nvalues:\n  a: &x 5\n  b: *x\n", want: []string{"1 runtime"}},
		"merge keys":              {text: "- &base {kind: Runtime, values: {a: 1}}\n- <<: *base\n  values: {}\n", want: []string{"1 runtime", "2 runtime"}},
		"quoted words and number": {text: web + "description: \"no\"\nsubsets: [{name: v1, labels: {version: '1.20', on2: 'on'}}]\n", want: []string{"1 service/web"}},
		"dates are text":          {text: web + "description: 2026-11-21\n", want: []string{"1 service/web"}},
		"metadata of the server":  {text: web + "meta: {revision: 5, author: x, updatedAt: 2026-11-21T10:00:00Z}\n", want: []string{"1 service/web"}},
		"booleans":                {text: web + "traffic: {noTimeout: True}\n", want: []string{"1 service/web"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects, faults := manifest.Parse(or(test.file, "f.yaml"), []byte(test.text))
			if len(faults) > 0 {
				t.Errorf("faults: %q", lines(faults))
			}
			if diff := cmp.Diff(test.want, names(objects)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		file, text string
		want       []string
	}{
		"no kind":            {text: "name: web\n", want: []string{"f.yaml:1: kind: is required: Service, Instance, Route or Runtime"}},
		"unknown kind":       {text: "\nkind: Servise\n", want: []string{`f.yaml:2: kind: "Servise" is not a kind: use Service, Instance, Route or Runtime`}},
		"kind in small":      {text: "kind: services\n", want: []string{`f.yaml:1: kind: "services" is not a kind: did you mean "Service"?`}},
		"kind is no string":  {text: "kind: 5\n", want: []string{"f.yaml:1: kind: wants a string: Service, Instance, Route or Runtime"}},
		"kind given twice":   {text: "kind: Runtime\nkind: Service\nvalues: {}\n", want: []string{"f.yaml:2: kind: is given twice; first on line 1"}},
		"a bare word":        {text: "hello\n", want: []string{`f.yaml:1: wants an object with a kind, such as "kind: Service"`}},
		"a list of words":    {text: "- a\n- b\n", want: []string{"f.yaml:1: [0]: wants an object with a kind", "f.yaml:2: [1]: wants an object with a kind"}},
		"a List without any": {text: "kind: List\n", want: []string{"f.yaml:1: items: is required in a List: the list of objects"}},
		"a List's odd field": {text: "kind: List\nitem: []\nitems: []\n", want: []string{"f.yaml:2: item: is not a field of a List, which has kind and items"}},
		"a List in a List":   {text: "kind: List\nitems: [{kind: List, items: []}]\n", want: []string{"f.yaml:2: [0]: is a List within a list: put its items here"}},
		"Kubernetes habits": {text: web + "apiVersion: v1\nspec: {}\n", want: []string{
			"f.yaml:7: apiVersion: is not a field here: Heddle's files need no apiVersion, and the fields stand beside kind",
			"f.yaml:8: spec: is not a field here: Heddle's files need no apiVersion, and the fields stand beside kind"}},
		"unknown field":    {text: web + "ownr: x\n", want: []string{`f.yaml:7: ownr: is not a field here; did you mean "owner"?`}},
		"missing field":    {text: "kind: Service\nname: a\nowner: x\nprotocol: http\nport: 1\n", want: []string{"f.yaml:1: dependencies: is required: list the services that this one calls, or write an empty list ([]) if it calls nothing"}},
		"empty field":      {text: "kind: Service\nname: a\nowner: x\nprotocol: http\nport: 1\ndependencies:\n", want: []string{"f.yaml:6: dependencies: is required: list the services that this one calls, or write an empty list ([]) if it calls nothing"}},
		"given twice":      {text: web + "owner: x\n", want: []string{"f.yaml:7: owner: is given twice; first on line 3"}},
		"twice deep":       {text: web + "traffic:\n  retries:\n    attempts: 1\n    attempts: 2\n", want: []string{"f.yaml:10: traffic.retries.attempts: is given twice; first on line 9"}},
		"twice in JSON":    {text: `{"kind": "Runtime",` + "\n" + `"values": {"a": 1,` + "\n" + `"a": 2}}`, want: []string{"f.yaml:3: values.a: is given twice; first on line 2"}},
		"a deep fault":     {text: web + "subsets: [{name: v1, labels: {v: '1'}}]\nroutes:\n- to:\n  - {subset: v1, weight: 1}\n  - subset: v2\n    weight: 5\n", want: []string{`f.yaml:11: routes[0].to[1].subset: "v2" is not in subsets`}},
		"dots in a key":    {text: web + "subsets:\n- name: v1\n  labels:\n    app: x\n    app.kubernetes.io/version: 1.2\n", want: []string{`f.yaml:11: subsets[0].labels.app.kubernetes.io/version: wants a string, not the number 1.2: put it in quotes, "1.2"`}},
		"no for text":      {text: web + "description: no\n", want: []string{`f.yaml:7: description: no without quotes is text to some readers of YAML and false to others: write "no" if text is meant, false if not`}},
		"yes for boolean":  {text: web + "traffic: {noTimeout: Yes}\n", want: []string{`f.yaml:7: traffic.noTimeout: Yes without quotes is text to some readers of YAML and true to others: write "Yes" if text is meant, true if not`}},
		"on as a key":      {text: web + "traffic:\n  retries:\n    attempts: 1\n    on: [reset]\n"},
		"on twice":         {text: "kind: Runtime\nvalues:\n  on: 5\n  \"on\": 6\n", want: []string{`f.yaml:4: values.on: is given twice; first on line 3`}},
		"octal":            {text: "kind: Runtime\nvalues:\n  a: 010\n", want: []string{`f.yaml:3: values.a: 010 is a number that is read in more than one way: write it in plain decimal, or put it in quotes ("010") if text is meant`}},
		"infinity":         {text: "kind: Runtime\nvalues: {a: .inf}\n", want: []string{`f.yaml:2: values.a: .inf is a number that is read in more than one way: write it in plain decimal, or put it in quotes (".inf") if text is meant`}},
		"a tag":            {text: "kind: Runtime\nvalues: {a: !secret x}\n", want: []string{"f.yaml:2: values.a: has the YAML tag !secret, which means nothing here: remove it"}},
		"a list for a key": {text: "kind: Runtime\nvalues: {[a]: x}\n", want: []string{"f.yaml:2: values: has a list or an object for a field name"}},
		"every fault":      {text: strings.Replace(web, "8080", "99999", 1) + "---\nkind: Route\nname: R\nowner: x\nhosts: [h]\nbackends: []\n", want: []string{"f.yaml:5: port: 99999 is not a port: use 1 to 65535", `f.yaml:9: name: "R" is not a DNS label: use lower-case letters, digits and inner hyphens`, "f.yaml:12: backends: is required: at least one service, or else a redirect, or refuse"}},
		"broken JSON":      {file: "f.json", text: "{\n\"kind\": \"Runtime\",\n}", want: []string{"f.json:3: not valid JSON: invalid character '}' looking for beginning of object key string"}},
		"short JSON":       {file: "f.json", text: "{\"kind\": \"Runtime\",\n\"values\": [", want: []string{"f.json:2: not valid JSON: it ends too soon"}},
		"deep JSON":        {file: "f.json", text: strings.Repeat("[", 100), want: []string{"f.json:1: not valid JSON: it is nested deeper than 60"}},
		"deep YAML":        {text: "kind: Runtime\nvalues: {a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", want: []string{"f.yaml:2: values.a" + strings.Repeat("[0]", 59) + ": is nested deeper than 60"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := manifest.Parse(or(test.file, "f.yaml"), []byte(test.text))
			if diff := cmp.Diff(test.want, lines(faults)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file with a fault in one object still gives the others, so that all faults
// of a folder are seen at once.
func TestParseGoesOnBehindAFault(t *testing.T) {
	objects, faults := manifest.Parse("f.yaml", []byte("kind: Nothing\n---\n"+web+"---\nkind: [\n"))
	if got := names(objects); len(got) != 1 || got[0] != "3 service/web" {
		t.Errorf("objects: %q", got)
	}
	if len(faults) != 2 {
		t.Errorf("faults: %q", lines(faults))
	}
}
