package mesh_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const goodService = `{"name":"web","owner":"team-web","protocol":"http","port":8080,"dependencies":["orders"]}`

func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var e *mesh.Error
	if !errors.As(err, &e) || e.Kind != mesh.KindInvalid {
		t.Fatalf("want an invalid-input error, got %v", err)
	}
	var out []string
	for _, f := range e.Faults {
		out = append(out, f.Path+": "+f.Message)
	}
	return out
}

func TestDecodeReportsEveryFaultAtOnceWithItsPath(t *testing.T) {
	cases := map[string]struct {
		body string
		want []string
	}{
		"empty":            {"", []string{": it is empty"}},
		"cut off":          {`{"name":"web"`, []string{": it ends too soon"}},
		"two values":       {goodService + "{}", []string{": there is something behind the end of the value, at byte 90"}},
		"a list":           {`[1]`, []string{": wants an object, not a list"}},
		"a string":         {`"web"`, []string{`: wants an object, not the string "web"`}},
		"unknown fields":   {`{"naem":"web","zzz":1}`, []string{`naem: is not a field here`, `zzz: is not a field here`}},
		"one letter off":   {`{"protocoll":"http"}`, []string{`protocoll: is not a field here; did you mean "protocol"?`}},
		"wrong case":       {`{"Name":"web"}`, []string{`Name: is not a field here; did you mean "name"?`}},
		"given twice":      {`{"name":"a","name":"b"}`, []string{"name: is given twice"}},
		"many wrong types": {`{"name":1,"port":"80","dependencies":"orders","traffic":[]}`, []string{`dependencies: wants a list, not the string "orders"`, "name: wants a string, not the number 1", `port: wants a whole number, not the string "80"`, "traffic: wants an object, not a list"}},
		"nested":           {`{"routes":[{"to":[{"wieght":1}]}]}`, []string{`routes[0].to[0].wieght: is not a field here`}},
		"null element":     {`{"dependencies":["a",null]}`, []string{"dependencies[1]: is null"}},
		"bare duration":    {`{"traffic":{"timeout":5}}`, []string{`traffic.timeout: a duration is a string with a unit, such as "250ms" or "5s"`}},
		"bad duration":     {`{"traffic":{"timeout":"soon"}}`, []string{`traffic.timeout: "soon" is not a duration: use a number with a unit, such as "250ms" or "5s"`}},
		"zero durations": {`{"traffic":{"timeout":"0s","noTimeout":false,"idleTimeout":"0","retries":{"attempts":1,"perTryTimeout":"0ms"}},"routes":[{"timeout":"0s"}],"healthCheck":{"type":"tcp","timeout":"0s"}}`, []string{
			`healthCheck.timeout: is zero, which does not mean "no bound" here: leave it out for the default`,
			`routes[0].timeout: is zero, which does not mean "no bound" here: leave it out for the default, or lift the bound with noTimeout: true under the service's traffic`,
			`traffic.idleTimeout: is zero, which does not mean "no bound" here: leave it out for the default`,
			`traffic.retries.perTryTimeout: is zero, which does not mean "no bound" here: leave it out for the default`,
			`traffic.timeout: is zero, which does not mean "no bound" here: leave it out for the default, or lift the bound with noTimeout: true under the service's traffic`,
		}},
		"number too large":  {`{"port":1e99}`, []string{"port: wants a whole number, not the number 1e99"}},
		"fraction":          {`{"port":80.5}`, []string{"port: wants a whole number, not the number 80.5"}},
		"object as a label": {`{"subsets":[{"labels":{"v":{}}}]}`, []string{"subsets[0].labels.v: wants a string, not an object"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := mesh.Service{Name: "untouched"}
			err := mesh.Decode([]byte(c.body), &got)
			if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
				t.Error(diff)
			}
			if got.Name != "untouched" {
				t.Error("a refused body changed the target")
			}
		})
	}
}

func TestDecodeBoundsNestingAndQuotesHostileInput(t *testing.T) {
	deep := strings.Repeat(`{"traffic":`, 100_000)
	err := mesh.Decode([]byte(deep), &mesh.Service{})
	if err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("got %v", err)
	}
	err = mesh.Decode([]byte(`{"name":["\u001b[31m`+strings.Repeat("x", 10_000)+`"],"\u001b`+strings.Repeat("y", 10_000)+`":1}`), &mesh.Service{})
	if message := err.Error(); len(message) > 600 {
		t.Errorf("the error repeats %d bytes of the input", len(message))
	}
}

func TestDecodeKeepsEverythingAValidObjectSays(t *testing.T) {
	body := `{"name":"orders","owner":"shop","protocol":"grpc","port":9000,"dependencies":[],
	"endpoints":{"dns":{"host":"orders.example","discovery":"strict","refresh":"2s","resolvers":["10.0.0.2:53"]}},
	"traffic":{"timeout":"1.5s","retries":{"attempts":0},"loadBalancing":{"policy":"maglev","hashHeader":"x-user"}},
	"meta":{"revision":7}}`
	var got mesh.Service
	if err := mesh.Decode([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := mesh.Service{
		Name: "orders", Owner: "shop", Protocol: mesh.GRPC, Port: 9000, Dependencies: []mesh.ServiceName{},
		Endpoints: mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: "orders.example", Discovery: mesh.DNSStrict, Refresh: mesh.Duration(2 * time.Second), Resolvers: []string{"10.0.0.2:53"}}},
		Traffic: mesh.Traffic{
			Timeout: mesh.Duration(1500 * time.Millisecond), Retries: &mesh.Retries{},
			LoadBalancing: mesh.LoadBalancing{Policy: mesh.Maglev, HashHeader: "x-user"},
		},
		Meta: mesh.Meta{Revision: 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if faults := got.Validate(); len(faults) > 0 {
		t.Error(faults)
	}
}

// FuzzDecode holds Decode to encoding/json: what Decode accepts, json accepts
// with unknown fields refused, to the same value; and nothing panics.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{goodService, `{}`, `null`, `{"routes":[{"to":[{"weight":1}]}]}`, `{"traffic":{"timeout":"5s"}}`, "{\"name\":\"\xff\"}", `{"meta":{"updatedAt":"2026-01-02T03:04:05Z"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var ours, theirs mesh.Service
		if mesh.Decode(body, &ours) != nil {
			return
		}
		if err := json.Unmarshal(body, &theirs); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("ours %+v, encoding/json %+v", ours, theirs)
		}
		_ = ours.Validate()
	})
}

// An older Heddle may have stored what is refused today.
func TestAStoredZeroDurationIsStillRead(t *testing.T) {
	var got mesh.Service
	if err := json.Unmarshal([]byte(`{"name":"web","traffic":{"timeout":"0s"}}`), &got); err != nil || got.Traffic.Timeout != 0 {
		t.Errorf("got %v, %v", got.Traffic.Timeout, err)
	}
}

func TestDurationsAreWrittenWithoutEndingZeros(t *testing.T) {
	for _, want := range []string{"0s", "10s", "1m10s", "10m", "24h", "1h10s", "1h10m", "100h", "1.5s", "250ms"} {
		d, err := time.ParseDuration(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := mesh.Duration(d).String(); got != want && got != d.String() {
			t.Errorf("%s is written %s", want, got)
		}
		if again, err := time.ParseDuration(mesh.Duration(d).String()); err != nil || again != d {
			t.Errorf("%s comes back as %s: %v", want, again, err)
		}
	}
	if got := mesh.Duration(24 * time.Hour).String(); got != "24h" {
		t.Errorf("a day is written %s", got)
	}
}

func TestDecodeTakesTheFieldsOfEmbeddedStructs(t *testing.T) {
	type withStatus struct {
		mesh.Service
		Status struct{ Pending []string }
	}
	var got withStatus
	if err := mesh.Decode([]byte(goodService), &got); err != nil || got.Name != "web" {
		t.Errorf("got %v, %v", got.Service, err)
	}
	err := mesh.Decode([]byte(`{"Service":{}}`), &got)
	if faults := faultsOf(t, err); len(faults) != 1 || !strings.HasPrefix(faults[0], "Service: is not a field") {
		t.Errorf("got %v", faults)
	}
}
