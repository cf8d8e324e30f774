package translate_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// No kind of secret is shown, wherever it stands: as a resource of its own, or deep
// within another.
func TestReadableShowsNoSecrets(t *testing.T) {
	inline := func(text string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
	}
	certificate := &tlsv3.TlsCertificate{
		CertificateChain: inline("the chain"), PrivateKey: inline("SECRET key"), Password: inline("SECRET password"),
		Pkcs12:             &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte("SECRET store")}},
		PrivateKeyProvider: &tlsv3.PrivateKeyProvider{ConfigType: &tlsv3.PrivateKeyProvider_TypedConfig{TypedConfig: packed(t, inline("SECRET of a provider"))}},
	}
	inListener := &listenerv3.Listener{Name: "in", FilterChains: []*listenerv3.FilterChain{{TransportSocket: &corev3.TransportSocket{
		Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(t, &tlsv3.DownstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificates: []*tlsv3.TlsCertificate{certificate}},
		})},
	}}}}
	for name, m := range map[string]proto.Message{
		"a certificate": &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate}},
		"generic":       &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: inline("SECRET token")}}},
		"several": &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secrets: map[string]*corev3.DataSource{"one": inline("SECRET one")}}}},
		"tickets":     &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{inline("SECRET ticket")}}}},
		"in listener": inListener,
	} {
		before := proto.Clone(m)
		got, err := translate.Readable(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(string(got), "SECRET") || strings.Contains(string(got), "U0VDUkVU") || !strings.Contains(string(got), "[redacted]") {
			t.Errorf("%s is shown as %s", name, got)
		}
		if !proto.Equal(before, m) {
			t.Errorf("%s: the message itself was changed", name)
		}
		if name == "in listener" && !strings.Contains(string(got), "the chain") {
			t.Errorf("what is no secret is not shown: %s", got)
		}
	}
	unknown := &corev3.TypedExtensionConfig{Name: "x", TypedConfig: &anypb.Any{TypeUrl: "type.example/Unknown", Value: []byte("SECRET")}}
	if got, err := translate.Readable(unknown); err == nil {
		t.Errorf("what cannot be read is shown as %s", got)
	}
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Everything that is translated can be shown, always with the same bytes, and
// nothing in it is a secret.
func TestReadableShowsAllThatIsTranslated(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/in.json")
	if err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	for _, file := range cases {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var in input
		if err := json.Unmarshal(data, &in); err != nil {
			t.Fatal(err)
		}
		built, _ := translate.Build(in.view(), translate.ScopeOf(in.Proxy), in.trust())
		for _, r := range built {
			got, err := translate.Readable(r.Message)
			if err != nil || !json.Valid(got) {
				t.Fatalf("%s: %s: %v", file, r.Name, err)
			}
			if again, _ := translate.Readable(r.Message); string(again) != string(got) {
				t.Errorf("%s: %s is written in two ways", file, r.Name)
			}
			if strings.Contains(string(got), "[redacted]") {
				t.Errorf("%s: %s holds a secret: %.500s", file, r.Name, got)
			}
			if mesh.ResourceTypeName(r.Type) == r.Type {
				t.Errorf("%s has no name", r.Type)
			}
		}
	}
}
