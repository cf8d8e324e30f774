package translate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files anew")

// input is testdata/<case>/in.json: a mesh and one proxy in it.
type input struct {
	About     string          `json:"about"` // why the case exists
	Proxy     mesh.Proxy      `json:"proxy"`
	Services  []mesh.Service  `json:"services"`
	Instances []mesh.Instance `json:"instances"`
	Routes    []mesh.Route    `json:"routes"`
	Runtime   *mesh.Runtime   `json:"runtime"`
	// Identities says that the mesh has an authority, and what services are by default.
	Identities  mesh.MTLS         `json:"identities"`
	JWKS        string            `json:"jwks"` // of the AuthZ service; "": there is none
	Authorizers []mesh.Authorizer `json:"authorizers"`
	Telemetry   telemetry         `json:"telemetry"`
	// Unacknowledged is that of [translate.Trust], in nanoseconds.
	Unacknowledged time.Duration `json:"unacknowledged"`
}

// telemetry is [translate.Telemetry] in a file.
type telemetry struct {
	AccessLog     string    `json:"accessLog"`
	Collector     string    `json:"collector"`
	CollectorPort mesh.Port `json:"collectorPort"`
	Sample        float64   `json:"sample"`
}

// trust is that of the input's mesh.
func (in *input) trust() translate.Trust {
	if in.Identities == "" {
		return translate.Trust{Telemetry: translate.Telemetry(in.Telemetry), Reports: true, Unacknowledged: in.Unacknowledged}
	}
	return translate.Trust{Domain: "mesh.test", Roots: []byte(rootCertificate), MTLS: in.Identities, Telemetry: translate.Telemetry(in.Telemetry), Reports: true}
}

func (in *input) tokenKeys() *mesh.TokenKeys {
	return &mesh.TokenKeys{Issuer: "https://mesh.test", JWKS: json.RawMessage(in.JWKS)}
}

// rootCertificate has a key that nobody knows.
const rootCertificate = `-----BEGIN CERTIFICATE-----
MIIBqDCCAU6gAwIBAgIUALRgWhxr+OkD8/+uyGZqR+AxCigwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOcm9vdCBvZiBhIHRlc3QwIBcNMjYxMTIxMTcwMjQ0WhgPMjEy
NjEwMjgxNzAyNDRaMBkxFzAVBgNVBAMMDnJvb3Qgb2YgYSB0ZXN0MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE7QNIZfA2UWg/GgRmwKrgBLGvO92+R3QBAOfbZ6Im
6Z9cElPmt76r3BWfsEYMDHrvNBESqLA2friqi+xPCiYp86NyMHAwHQYDVR0OBBYE
FDubl+UzIdnl9UiTu99bhr6WFn43MB8GA1UdIwQYMBaAFDubl+UzIdnl9UiTu99b
hr6WFn43MA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0RBBYwFIYSc3BpZmZlOi8vbWVz
aC50ZXN0MAoGCCqGSM49BAMCA0gAMEUCIETIB0EhiPoEYj4U5yPK6UPU1mCZY60w
oEROPEib5jp3AiEA/FZ5ferepX9w5+gzq8CHvA3vOJnImFMTg1UQUyd3CgE=
-----END CERTIFICATE-----
`

func (in *input) view() *catalog.View {
	var changes []mesh.Change
	for i := range in.Services {
		changes = append(changes, mesh.Change{Service: &in.Services[i], Revision: 1})
	}
	for i := range in.Instances {
		changes = append(changes, mesh.Change{Instance: &in.Instances[i], Revision: 1})
	}
	for i := range in.Routes {
		changes = append(changes, mesh.Change{Route: &in.Routes[i], Revision: 1})
	}
	if in.Runtime != nil {
		changes = append(changes, mesh.Change{Runtime: in.Runtime, Revision: 1})
	}
	if in.JWKS != "" {
		changes = append(changes, mesh.Change{TokenKeys: in.tokenKeys(), Revision: 1})
	}
	for i := range in.Authorizers {
		changes = append(changes, mesh.Change{Authorizer: &in.Authorizers[i], Revision: 1})
	}
	c := catalog.New(catalog.Config{})
	c.Apply(1, true, changes)
	return c.View()
}

// check holds the input to what the registry hands over.
func (in *input) check(t testing.TB) {
	t.Helper()
	faults := in.Proxy.Validate()
	for i := range in.Services {
		faults = append(faults, in.Services[i].Validate()...)
	}
	for i := range in.Instances {
		faults = append(faults, in.Instances[i].Validate()...)
	}
	for i := range in.Routes {
		faults = append(faults, in.Routes[i].Validate()...)
	}
	if in.Runtime != nil {
		faults = append(faults, in.Runtime.Validate()...)
	}
	if in.JWKS != "" {
		faults = append(faults, in.tokenKeys().Validate()...)
	}
	for i := range in.Authorizers {
		faults = append(faults, in.Authorizers[i].Validate()...)
	}
	if faults = faults.OfStored(); len(faults) > 0 {
		t.Fatalf("the input is not valid: %v", faults)
	}
}

// TestGolden compares what each case of testdata translates to with the file
// beside it, and has the real Envoy accept it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/in.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			in := readInput(t, file)
			resources, problems := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust())
			got := render(t, resources, problems)
			out := filepath.Join(folder, "out.json")
			if *update {
				if err := os.WriteFile(out, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("not as in %s (run with -update if that is right):\n%s", out, diff)
			}
			if in.Proxy.Profile == mesh.Proxyless {
				return // not for Envoy; gRPC's own client takes it in controlplane's TestProxylessClient
			}
			envoytest.Validate(t, static(t, resources))
		})
	}
}

func readInput(t testing.TB, file string) *input {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := &input{}
	if err := mesh.Decode(body, in); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	in.check(t)
	return in
}

// render writes resources and problems as one JSON document, always with the
// same bytes: protojson varies its white space on purpose.
func render(t testing.TB, resources []translate.Resource, problems []translate.Problem) []byte {
	t.Helper()
	type resource struct {
		Type, Name, Origin string
		Settle             string `json:",omitempty"`
		Message            json.RawMessage
	}
	document := struct {
		Problems  []translate.Problem `json:"problems,omitempty"`
		Resources []resource          `json:"resources"`
	}{Problems: problems}
	for _, r := range resources {
		body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r.Message)
		if err != nil {
			t.Fatal(err)
		}
		one := resource{Type: r.Type, Name: r.Name, Origin: r.Origin.Object, Message: body}
		if r.Settle != 0 {
			one.Settle = r.Settle.String()
		}
		document.Resources = append(document.Resources, one)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
