package inventory

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// list lists what a source has; a fault is its only scope's.
func list(t *testing.T, cfg Config) ([]mesh.VM, discovery.Cost, error) {
	t.Helper()
	source, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	listing, err := source.List(t.Context(), nil, nil)
	if err != nil || len(listing.Scopes) != 1 {
		t.Fatalf("%+v, %v", listing, err)
	}
	return listing.Scopes[0].VMs, listing.Cost, listing.Scopes[0].Err
}

func TestAFileIsReadAsAWholeOrNotAtAll(t *testing.T) {
	whole := `{"total_vms":2,"vms":[{"name":"orders-1","private_ip":"10.9.0.1","tags":{"heddle-service":"orders:8080"},"runs":[{"name":"forged"}],"meta":{"revision":7}},{"id":"i-2","name":"orders-1","state":"stopped"}]}`
	for name, c := range map[string]struct {
		text  string
		fault string
	}{
		"whole":           {text: whole},
		"none":            {text: `{"vms":[]}`},
		"empty":           {"", "it is not JSON with a list vms"},
		"half-written":    {whole[:len(whole)-30], "it is not JSON"},
		"two lists":       {whole + whole, "it is not JSON"},
		"not JSON":        {"vms:\n- name: x\n", "it is not JSON"},
		"another list":    {`[{"name":"x"}]`, "it is not JSON with a list vms: it is a list"},
		"no list":         {`{"machines":[]}`, `it has no list "vms"`},
		"null":            {`{"vms":null}`, `it has no list "vms"`},
		"a wrong type":    {`{"vms":[{"name":"a"},{"id":"i-7", "name":7, "tags":{"a":"b"}, "zone": 1}]}`, `vms[1] ("i-7"): name has to be a text, and is a number; zone has to be a text, and is a number`},
		"a list of texts": {`{"vms":[{"name":"a","addresses":["10.0.0.1", {}]}]}`, `vms[0] ("a"): addresses has to be a list of texts, and has an object in it`},
		"tags' values":    {`{"vms":[{"tags": {"port": 8080},"name":"a"}]}`, `vms[0] ("a"): tags has to be an object of texts, and has a number in it`},
		"tags in a list":  {`{"vms":[{"tags": ["x"],"name":"a"}]}`, `vms[0] ("a"): tags has to be an object of texts, and is a list`},
		"no object":       {`{"vms":[{"name":"a"}, "b"]}`, `vms[1]: it is a text, and has to be an object`},
		"null as a row":   {`{"vms":[ null ]}`, `vms[0]: it is null, and has to be an object`},
		"vms is a number": {`{"vms":7}`, "it is not JSON with a list vms: vms is a number"},
		"misspelled":      {`{"vms":[{"Name":"a"}]}`, `vms[0] has neither an id nor a name: fields that a machine does not have are not taken: "Name" (name?)`},
		"nameless":        {`{"vms":[{"name":"a"},{"private_ip":"10.0.0.1"}]}`, "vms[1] has neither an id nor a name"},
		"ids twice":       {`{"vms":[{"id":"a"},{"id":"b"},{"name":"a"}]}`, `vms[2] ("a") has the id "a" of vms[0] ("a")`},
		"too many":        {`{"vms":[` + strings.Repeat(`{},`, mostVMs) + `{}]}`, "it has 100001 machines; at most 100000"},
		"much too long":   {`{"vms":[]}` + strings.Repeat(" ", mostBytes), "it has more than 64 MiB"},
		"NUL bytes alone": {"\x00\x00\x00\x00", "it is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "inventory.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			vms, _, err := list(t, Config{File: path})
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) || !strings.Contains(err.Error(), path) || len(vms) != 0 {
					t.Errorf("%d machines, %v; want %q", len(vms), err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if name == "none" {
				return
			}
			if len(vms) != 2 || vms[0].ID != "orders-1" || len(vms[0].Runs) != 1 || vms[0].Runs[0] != (mesh.VMService{Name: "orders", Port: 8080}) || vms[0].State != mesh.VMRunning || vms[0].Meta != (mesh.Meta{}) || vms[1].State != mesh.VMStopped {
				t.Errorf("%+v", vms)
			}
		})
	}
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "is no regular file, but a directory", os.DevNull: "is no regular file, but a device"} {
		if _, _, err := list(t, Config{File: path}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAnAddressIsAsked(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(token, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var answers func(w http.ResponseWriter, r *http.Request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers(w, r) }))
	defer server.Close()
	plain := Config{URL: server.URL + "/vms"}
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		after  time.Duration // -1: not throttled
		fault  string
	}{
		"it answers":            {200, nil, `{"vms":[{"name":"a"}]}`, -1, ""},
		"throttled":             {429, map[string]string{"Retry-After": "17"}, "", 17 * time.Second, "429 Too Many Requests"},
		"throttled until then":  {429, map[string]string{"Retry-After": time.Now().Add(100 * time.Second).UTC().Format(http.TimeFormat)}, "", 100 * time.Second, "429"},
		"until what is past":    {429, map[string]string{"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"}, "", 0, "429"},
		"throttled, no word":    {429, nil, "", 0, "429"},
		"for ever":              {429, map[string]string{"Retry-After": "99999999999"}, "", time.Hour, "429"},
		"for nonsense":          {429, map[string]string{"Retry-After": "-5"}, "", 0, "429"},
		"away, and says when":   {503, map[string]string{"Retry-After": "5"}, "", 5 * time.Second, "503 Service Unavailable"},
		"broken":                {500, nil, `{"vms":[]}`, -1, "500 Internal Server Error"},
		"not for us":            {403, nil, `{"vms":[]}`, -1, "403 Forbidden"},
		"nothing":               {204, nil, "", -1, "204 No Content"},
		"a page":                {200, nil, "<html>sign in</html>", -1, "it is not JSON"},
		"elsewhere":             {302, map[string]string{"Location": "/elsewhere"}, "", -1, ""},
		"elsewhere, in circles": {302, map[string]string{"Location": "/vms"}, "", -1, "redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			answers = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					fmt.Fprint(w, `{"vms":[{"name":"a"}]}`)
					return
				}
				for key, value := range c.header {
					w.Header().Set(key, value)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}
			vms, cost, err := list(t, plain)
			throttled := (*discovery.Throttled)(nil)
			if is := errors.As(err, &throttled); is != (c.after >= 0) || is && (throttled.After > c.after || throttled.After < c.after-5*time.Second) {
				t.Errorf("throttled %v (%+v), want %s", is, throttled, c.after)
			}
			if c.fault == "" && (err != nil || len(vms) != 1) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("%d machines, %v; want %q", len(vms), err, c.fault)
			}
			if cost.Calls < 1 || (cost.Throttled == 1) != (c.status == 429) {
				t.Errorf("cost %+v", cost)
			}
		})
	}
	// The token is read anew each time.
	var got string
	answers = func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		fmt.Fprint(w, `{"vms":[]}`)
	}
	with := Config{URL: plain.URL, TokenFile: token}
	for _, one := range []string{"first\n", "second"} {
		write(one)
		if _, _, err := list(t, with); err != nil || got != "Bearer "+strings.TrimSpace(one) {
			t.Errorf("token %q, %v", got, err)
		}
	}
	write(" \n")
	if _, _, err := list(t, with); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty token: %v", err)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if _, _, err := list(t, with); err == nil || !strings.Contains(err.Error(), "read its token") {
		t.Errorf("no token: %v", err)
	}
	server.Close()
	if _, _, err := list(t, plain); err == nil || !strings.Contains(err.Error(), "ask for the inventory") {
		t.Errorf("nobody is there: %v", err)
	}
}

// TestWhatIsSecretInAnAddressIsToldNobody: the reason of a failure is shown to whoever may
// read, and an address may have a signature or a password in it.
func TestWhatIsSecretInAnAddressIsToldNobody(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refusing.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, address := range []string{refusing.URL, closed.URL} {
		s, err := New(Config{URL: strings.Replace(address, "://", "://user:hidden@", 1) + "/vms.json?sig=hidden"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		listing, err := s.List(t.Context(), nil, nil)
		if err != nil || len(listing.Scopes) != 1 || listing.Scopes[0].Err == nil {
			t.Fatalf("%+v, %v", listing, err)
		}
		if said := listing.Scopes[0].Err.Error(); strings.Contains(said, "hidden") || !strings.Contains(said, "/vms.json") {
			t.Errorf("it says %q", said)
		}
	}
	if _, err := New(Config{URL: "http://inventory.example/vms", TokenFile: "token"}, nil); err == nil {
		t.Error("a token is sent in clear text")
	}
}
