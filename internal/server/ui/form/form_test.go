package form_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/server/ui/form"
)

var fields = []form.Item{
	{Kind: form.Text, Path: "name", Label: "Name"},
	{Kind: form.Text, Path: "owner", Label: "Owner"},
	{Kind: form.Area, Path: "description", Label: "Description"},
	{Kind: form.Whole, Path: "port", Label: "Port"},
	{Kind: form.Deliberate, Path: "dependencies", Label: "Dependencies"},
	{Kind: form.List, Path: "subsets", One: "Subset", Items: []form.Item{
		{Kind: form.Text, Path: "name", Label: "Name"}, {Kind: form.Labels, Path: "labels", Label: "Labels"},
	}},
	{Kind: form.Section, Path: "traffic", Items: []form.Item{
		{Kind: form.Duration, Path: "timeout", Label: "Timeout"},
		{Kind: form.Optional, Path: "retries", Items: []form.Item{{Kind: form.Whole, Path: "attempts", Label: "Attempts", Needed: true}}},
	}},
}

var service = mesh.Service{
	Name: "orders", Owner: "team-shop", Description: "two\nlines", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{"payments"},
	Subsets: []mesh.Subset{{Name: "v1", Labels: map[string]string{"a=b": "c"}}, {Name: "v2", Labels: map[string]string{"v": "2"}}},
	Traffic: mesh.Traffic{Timeout: mesh.Duration(90e9), Retries: &mesh.Retries{Attempts: 3, On: []string{"5xx"}}},
	Meta:    mesh.Meta{Revision: 7},
}

// edit fills a form, lets a change be made as a browser sends it, and builds.
func edit(t *testing.T, change func(url.Values)) (mesh.Service, mesh.Faults) {
	t.Helper()
	texts, err := form.Fill(fields, service)
	if err != nil {
		t.Fatal(err)
	}
	posted := url.Values{"~do": {"save"}}
	for name, text := range texts {
		posted.Set(name, strings.ReplaceAll(text, "\n", "\r\n"))
	}
	change(posted)
	var got mesh.Service
	read, err := form.Read(fields, posted)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := read.Build(fields, service, &got)
	if err != nil {
		t.Fatal(err)
	}
	return got, faults
}

func TestWhatTheFormHasNoFieldForStays(t *testing.T) {
	got, faults := edit(t, func(v url.Values) { v.Set("port", "9090"); v.Set("traffic.retries.attempts", "0") })
	want := service
	want.Port = 9090
	want.Traffic.Retries = &mesh.Retries{Attempts: 0, On: []string{"5xx"}}
	if diff := cmp.Diff(want, got); diff != "" || len(faults) > 0 {
		t.Error(diff, faults)
	}
}

func TestRowsKeepWhatTheyWere(t *testing.T) {
	texts, err := form.Fill(fields, service)
	if err != nil {
		t.Fatal(err)
	}
	texts.RaiseRow("subsets", 1)
	row := texts.AddRow("subsets")
	texts[row+".name"], texts[row+".labels"] = "v3", "v=3"
	var got mesh.Service
	if _, err := texts.Build(fields, service, &got); err != nil {
		t.Fatal(err)
	}
	want := []mesh.Subset{service.Subsets[1], service.Subsets[0], {Name: "v3", Labels: map[string]string{"v": "3"}}}
	if diff := cmp.Diff(want, got.Subsets); diff != "" {
		t.Error(diff)
	}
	texts.RemoveRow("subsets", 0)
	texts.RemoveRow("subsets", 7)
	if got = (mesh.Service{}); texts.Rows("subsets") != 2 {
		t.Fatal(texts)
	}
	if _, err := texts.Build(fields, service, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[1:], got.Subsets); diff != "" {
		t.Error(diff)
	}
}

func TestWhatCannotBeReadIsAFault(t *testing.T) {
	got, faults := edit(t, func(v url.Values) {
		v.Set("port", "eighty")
		v.Set("traffic.timeout", "15")
		v.Set("traffic.retries.attempts", "")
		v.Set("subsets[0].labels", "a=b=d\r\nnothing")
		v.Set("dependencies", "")
	})
	var paths []string
	for _, one := range faults {
		paths = append(paths, one.Path)
	}
	if diff := cmp.Diff([]string{"port", "dependencies", "subsets[0].labels", "traffic.timeout", "traffic.retries.attempts"}, paths); diff != "" {
		t.Error(diff, faults)
	}
	if got.Dependencies != nil {
		t.Error("a list that has to be empty deliberately is empty by accident")
	}
	shown := form.Show(fields, form.Texts{"port": "eighty", "subsets[0]#row": ""}, append(faults, mesh.Fault{Path: "other", Message: "is odd"}), "", func(string, string, []string) ([]form.Listed, []form.Listed) { return nil, nil })
	var ids []string
	for _, one := range shown.Faults {
		ids = append(ids, one.ID)
	}
	if diff := cmp.Diff([]string{"f-port", "f-dependencies", "f-subsets-0--labels", "f-traffic-timeout", "f-traffic-retries", ""}, ids); diff != "" {
		t.Error(diff)
	}
}

func TestTwoPeopleAreMergedFieldByField(t *testing.T) {
	theirs, mine := service, service
	theirs.Description, theirs.Port, theirs.Dependencies = "theirs", 1, []mesh.ServiceName{"payments", "stock"}
	theirs.Traffic.Retries = &mesh.Retries{Attempts: 3, On: []string{"5xx", "reset"}}
	mine.Owner, mine.Port, mine.Dependencies = "team-web", 2, []mesh.ServiceName{"web"}
	mine.Traffic.Retries = &mesh.Retries{Attempts: 9, On: []string{"5xx"}}
	for _, take := range []bool{true, false} {
		merged, differences := form.Merge(service, theirs, mine, nil, func(string) bool { return take })
		want := theirs
		want.Owner, want.Dependencies = "team-web", []mesh.ServiceName{"stock", "web"}
		want.Traffic.Retries = &mesh.Retries{Attempts: 9, On: []string{"5xx", "reset"}}
		if take {
			want.Port = 2
		}
		if diff := cmp.Diff(want, merged); diff != "" {
			t.Error(diff)
		}
		var clashes []string
		for _, one := range differences {
			if one.Clash() {
				clashes = append(clashes, one.Path)
			}
		}
		if diff := cmp.Diff([]string{"port"}, clashes); diff != "" {
			t.Error(diff)
		}
	}
	if theirs.Traffic.Retries.Attempts != 3 || reflect.DeepEqual(theirs, mine) {
		t.Error("merging changed what was merged")
	}
}

func TestNothingIsChangedByLookingAtIt(t *testing.T) {
	got, faults := edit(t, func(url.Values) {})
	before, _ := json.Marshal(service)
	after, _ := json.Marshal(got)
	if string(before) != string(after) || len(faults) > 0 {
		t.Errorf("%s\nbecame\n%s\n%v", before, after, faults)
	}
}
