package inventory

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestARedirectLeadsToNoOtherHost: whoever answers for the inventory must not have the
// server ask what only hosts inside may ask, with the token or without.
func TestARedirectLeadsToNoOtherHost(t *testing.T) {
	var asked []string
	answer := func(name, to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, name+" "+r.Header.Get("Authorization"))
			if to == "" || r.URL.Path == "/moved" {
				fmt.Fprint(w, `{"vms":[{"name":"a"}]}`)
				return
			}
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	inside := httptest.NewServer(answer("inside", ""))
	t.Cleanup(inside.Close)
	secure := httptest.NewTLSServer(answer("secure", inside.URL+"/moved"))
	t.Cleanup(secure.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	const refused = "which is not followed"
	for name, c := range map[string]struct {
		to    string
		fault string
		asked string
	}{
		"its own":              {"/moved", "", "first Bearer hidden,first Bearer hidden"},
		"another port":         {inside.URL + "/moved?sig=hidden", "it redirects to " + inside.URL + ", " + refused, "first Bearer hidden"},
		"another name":         {strings.Replace(inside.URL, "127.0.0.1", "localhost", 1), refused, "first Bearer hidden"},
		"the cloud's metadata": {"http://169.254.169.254/metadata/instance", "it redirects to http://169.254.169.254, " + refused, "first Bearer hidden"},
		"raised to https":      {secure.URL + "/moved", "", "first Bearer hidden,secure Bearer hidden"},
		"raised, and back":     {secure.URL + "/", refused, "first Bearer hidden,secure Bearer hidden"},
		"another scheme":       {"file:///etc/passwd", refused, "first Bearer hidden"},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			first := httptest.NewServer(answer("first", c.to))
			t.Cleanup(first.Close)
			s, err := New(Config{URL: first.URL + "/vms", TokenFile: token}, secure.Client())
			if err != nil {
				t.Fatal(err)
			}
			listing, err := s.List(t.Context(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			vms, err := listing.Scopes[0].VMs, listing.Scopes[0].Err
			if c.fault == "" && (err != nil || len(vms) != 1) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "hidden")) {
				t.Errorf("%d machines, %v; want %q", len(vms), err, c.fault)
			}
			if got := strings.Join(asked, ","); got != c.asked {
				t.Errorf("asked %s, want %s", got, c.asked)
			}
		})
	}
}
