package test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/azuretest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitConcerns waits until a server tells these concerns of its settings, by their source
// and a part of their message.
func (s *server) awaitConcerns(want map[string]string) {
	s.t.Helper()
	heddletest.Eventually(s.t, fmt.Sprintf("concerns about %v", want), func() error {
		all, err := s.client.Discovery(s.t.Context())
		if err != nil {
			return err
		}
		if len(all.Concerns) != len(want) || all.Server == "" {
			return fmt.Errorf("%s refreshes, and concerns are %+v", all.Server, all.Concerns)
		}
		for _, one := range all.Concerns {
			if part, is := want[one.Source]; !is || !strings.Contains(one.Message, part) {
				return fmt.Errorf("concerns are %+v", all.Concerns)
			}
		}
		return nil
	})
}

// TestServersTellThatTheirSourcesDiffer from those of the one that asks them, for as long as
// they do.
func TestServersTellThatTheirSourcesDiffer(t *testing.T) {
	t.Parallel()
	endpoint, _ := placingEtcd(t)
	dir := t.TempDir()
	inventory, fileA, fileB := filepath.Join(dir, "inventory.json"), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	writeFile(t, inventory, `{"vms":[]}`)
	settings := func(interval string, names ...string) string {
		text := "sources:\n"
		for _, name := range names {
			text += fmt.Sprintf("- {name: %s, interval: %s, inventory: {file: %s}}\n", name, interval, inventory)
		}
		return text
	}
	writeFile(t, fileA, settings("1s", "dc", "first"))
	writeFile(t, fileB, settings("2s", "dc")+settings("1s", "second")[len("sources:\n"):])
	a := startServer(t, "--etcd-endpoints", endpoint, "--discovery", fileA)
	a.awaitConcerns(nil)
	b := startServer(t, "--etcd-endpoints", endpoint, "--discovery", fileB)
	b.awaitConcerns(map[string]string{"dc": "differ from those", "first": "do not have it", "second": "it is not asked"})
	a.awaitConcerns(nil) // the one that asks is the measure

	list, code := run(t, heddle.Path(t), "discovery", "list", "--server", b.rest)
	if code != 0 || !strings.Contains(list, "\ndc: its settings on server ") || !strings.Contains(list, "Give all servers the same file") {
		t.Errorf("%d: %s", code, list)
	}
	status, _ := run(t, heddle.Path(t), "status", "--server", b.rest)
	if !strings.Contains(status, "source/second") || !strings.Contains(status, "Give all servers the same file") {
		t.Errorf("%s", status)
	}
	time.Sleep(5 * time.Second) // it has looked at them again meanwhile
	if told := strings.Count(b.Log.String(), "differ from those on server"); told != 1 {
		t.Errorf("the log tells %d times that settings differ:\n%s", told, b.Log.String())
	}

	a.Kill()
	heddletest.Eventually(t, "the other to ask, and to differ from nobody", func() error {
		all, err := b.client.Discovery(t.Context())
		if err == nil && (!strings.HasSuffix(all.Server, strings.TrimPrefix(b.rest, "http://")) || len(all.Concerns) > 0) {
			err = fmt.Errorf("%s asks, %+v", all.Server, all.Concerns)
		}
		return err
	})
	if !strings.Contains(b.Log.String(), "has ended") {
		t.Errorf("the log tells of no end:\n%s", b.Log.String())
	}
	a.start()
	a.client = a.newClient("")
	a.awaitConcerns(map[string]string{"dc": "differ from those", "first": "it is not asked", "second": "do not have it"})
	text, err := os.ReadFile(fileB)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, fileA, "# the same now\n"+string(text))
	a.Kill()
	a.start()
	a.client = a.newClient("")
	time.Sleep(3 * time.Second) // it has looked
	a.awaitConcerns(nil)
}

// secretive are places that want secrets: Azure with its login, and an inventory.
type secretive struct {
	cloud            *azuretest.Azure
	login, inventory *httptest.Server
	client, token    atomic.Value // the secrets that are right
}

func startSecretive(t *testing.T) *secretive {
	t.Helper()
	s := &secretive{cloud: azuretest.New(t)}
	s.cloud.Put(azuretest.VM{Subscription: machinesSubscription, Group: "shop", Name: "vm-1", NICs: []azuretest.NIC{azuretest.Address("10.79.1.1", "")}})
	s.client.Store("the client's")
	s.token.Store("the first")
	s.login = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		host := "https://" + r.Host + "/tenant"
		answer := map[string]any{"token_type": "Bearer", "access_token": "token-1", "expires_in": 3600}
		switch {
		case strings.HasSuffix(r.URL.Path, "openid-configuration"):
			answer = map[string]any{"issuer": host, "token_endpoint": host + "/oauth2/v2.0/token", "authorization_endpoint": host + "/oauth2/v2.0/authorize"}
		case r.FormValue("client_secret") != s.client.Load():
			w.WriteHeader(http.StatusUnauthorized)
			answer = map[string]any{"error": "invalid_client"}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.login.Close)
	s.inventory = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+s.token.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"vms":[{"name":"vm-2","private_ip":"10.79.1.2"}]}`))
	}))
	t.Cleanup(s.inventory.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	writeFile(t, roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.login.Certificate().Raw})))
	t.Setenv("SSL_CERT_FILE", roots)
	return s
}

// awaitSource waits until a source fails so, or is whole with that many machines.
func (s *server) awaitSource(name, failing string, machines int) {
	s.t.Helper()
	heddletest.Eventually(s.t, "source "+name+": "+failing, func() error {
		all, err := s.client.Discovery(s.t.Context())
		if err != nil {
			return err
		}
		for _, one := range all.Sources {
			if one.Name == name && strings.Contains(one.Failing, failing) && (one.Failing == "") == (failing == "") && one.VMs == machines {
				return nil
			}
		}
		return fmt.Errorf("sources are %+v", all.Sources)
	})
}

// TestAServerStartsWithoutTheSecretsOfItsSources, says which are missing, and goes on once
// they are there, and when they are replaced.
func TestAServerStartsWithoutTheSecretsOfItsSources(t *testing.T) {
	places, dir := startSecretive(t), t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	azure := fmt.Sprintf(`{subscriptions: [{id: %s}], auth: servicePrincipal, clientID: app, tenantID: tenant, clientSecretFile: %s, events: {secretFile: %s}, cloud: custom, resourceManager: %q, audience: "https://management.azure.com", authorityHost: %q}`,
		machinesSubscription, file("client"), file("events"), places.cloud.URL, places.login.URL)
	writeFile(t, file("discovery.yaml"), fmt.Sprintf("sources:\n- {name: az, interval: 1s, longest: 1s, azure: %s}\n- {name: cmdb, interval: 1s, longest: 1s, inventory: {url: %q, tokenFile: %s}}\n", azure, places.inventory.URL, file("token")))

	output, code := run(t, heddle.Path(t), "bootstrap", "--cloud-init", "--role", "server", "--discovery", file("discovery.yaml"),
		"--heddle-url", "https://files.example.com/heddle", "--heddle-sha256", strings.Repeat("a", 64))
	if code != 0 || !strings.HasPrefix(output, "#cloud-config") {
		t.Errorf("bootstrap: %d: %s", code, output)
	}

	s := startServer(t, "--discovery", file("discovery.yaml"))
	s.declare(service("orders", mesh.HTTP))
	s.awaitSource("az", "read clientSecretFile: open "+file("client"), 0)
	s.awaitSource("cmdb", file("token")+": no such file", 0)
	s.awaitConcerns(map[string]string{"az": "events are refused, and changes are seen at the next refresh: read events.secretFile: open " + file("events")})
	event := func(secret string) int {
		answer, err := http.Post(s.rest+"/api/v1/discovery/az/events?secret="+secret, "application/json", strings.NewReader("[]"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := event(""); got != http.StatusServiceUnavailable {
		t.Errorf("an event is answered with %d", got)
	}

	writeFile(t, file("client"), "another\n")
	s.awaitSource("az", "invalid_client", 0)
	writeFile(t, file("client"), "the client's\n")
	s.awaitSource("az", "", 1)
	writeFile(t, file("token"), "the first\n")
	s.awaitSource("cmdb", "", 1)
	places.token.Store("the second")
	s.awaitSource("cmdb", "401", 1)
	writeFile(t, file("token"), "the second\n")
	s.awaitSource("cmdb", "", 1)

	secret := strings.Repeat("s", 32)
	writeFile(t, file("events"), "short\n")
	s.awaitConcerns(map[string]string{"az": "wants at least 16 characters"})
	writeFile(t, file("events"), secret)
	s.awaitConcerns(nil)
	if got := event(secret); got != http.StatusOK {
		t.Errorf("an event is answered with %d", got)
	}
}

// TestARefreshIsWaitedFor by heddle discovery refresh, which says what changed, or failed.
func TestARefreshIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := func(name string, numbers ...int) {
		var vms []string
		for _, one := range numbers {
			vms = append(vms, fmt.Sprintf(`{"name":%q,"private_ip":%q}`, machineName(one), machineAddress(one)))
		}
		writeFile(t, filepath.Join(dir, name), `{"vms":[`+strings.Join(vms, ",")+`]}`)
	}
	list("dc", 0, 1)
	list("other", 2)
	text := "sources:\n"
	for _, name := range []string{"dc", "other"} {
		text += fmt.Sprintf("- {name: %s, interval: 1h, longest: 1h, staleAfter: 2h, inventory: {file: %s}}\n", name, filepath.Join(dir, name))
	}
	writeFile(t, filepath.Join(dir, "discovery.yaml"), text)
	s := startServer(t, "--discovery", filepath.Join(dir, "discovery.yaml"))
	s.awaitSource("dc", "", 2)
	s.awaitSource("other", "", 1)
	refresh := func(source string) (string, int) {
		return run(t, heddle.Path(t), "discovery", "refresh", source, "--wait", "--server", s.rest, "--token", s.token)
	}
	list("dc", 0, 2, 3)
	if output, code := refresh("dc"); code != 0 || output != "source dc is refreshed: 3 machines, 2 new or changed, 1 gone\n" {
		t.Errorf("%d: %s", code, output)
	}
	writeFile(t, filepath.Join(dir, "other"), "{")
	if output, code := refresh("other"); code == 0 || !strings.Contains(output, `source "other": it could not be listed as a whole, and what was known of it stays: `) || !strings.Contains(output, "read the inventory ") || !strings.Contains(output, "1 machine, 0 new") {
		t.Errorf("%d: %s", code, output)
	}
	if output, code := refresh("none"); code == 0 || !strings.Contains(output, "there is no such source; there are: dc, other") {
		t.Errorf("%d: %s", code, output)
	}
}
