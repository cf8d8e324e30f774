package insight

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Differences are shown to whoever may ask: nothing secret is in them.
func TestDifferencesHaveNoSecrets(t *testing.T) {
	key := func(text string) *tlsv3.Secret {
		return &tlsv3.Secret{Name: "own", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			PrivateKey: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}},
		}}}
	}
	if got := unified(nil, key("the-old-key")); !strings.Contains(got, "redacted") || strings.Contains(got, "the-old-key") {
		t.Errorf("a new secret is told as %s", got)
	}
	if got := unified(key("the-old-key"), key("the-new-key")); strings.Contains(got, "key\"") && strings.Contains(got, "the-") {
		t.Errorf("a changed secret is told as %s", got)
	}
}
