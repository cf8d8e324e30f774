package test

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// notForHosts are modules that would cost each host memory for nothing. Something that is
// missing here and is in the program shows in its size: see docs/decisions.
var notForHosts = []string{
	"go.etcd.io/", "k8s.io/", "sigs.k8s.io/", "github.com/Azure/", "github.com/AzureAD/",
	"github.com/danielgtaylor/huma", "github.com/redis/", "github.com/failsafe-go/", "github.com/maypok86/", "github.com/coreos/",
	"github.com/grpc-ecosystem/", "github.com/go-jose/", "github.com/spiffe/", "github.com/golang-jwt/", "go.uber.org/zap",
	"golang.org/x/oauth2", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/proto",
}

// What is in the program is read from the program itself: so it is what hosts run, by
// whatever way it got there.
func TestTheProgramOfHostsHasWhatTheyNeedOnly(t *testing.T) {
	whole, err := buildinfo.ReadFile(heddle.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	program, err := buildinfo.ReadFile(heddleAgent.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	has := func(info *buildinfo.BuildInfo, tree string) string {
		for _, module := range info.Deps {
			if module.Path == strings.TrimSuffix(tree, "/") || strings.HasPrefix(module.Path+"/", tree) {
				return module.Path
			}
		}
		return ""
	}
	for _, tree := range notForHosts {
		if found := has(program, tree); found != "" {
			t.Errorf("heddle-agent has %s: find what imports it by go mod why, or go list -deps ./cmd/heddle-agent", found)
		}
		if has(whole, tree) == "" {
			t.Errorf("heddle does not have %s either: it need not be named here", tree)
		}
	}
	if has(program, "github.com/hashicorp/memberlist") == "" {
		t.Error("gossip is not found in heddle-agent: does the test still see what is in a program?")
	}
}

// Hosts of both programs are one fleet, and heddle-agent answers for it as heddle does.
func TestHostsOfBothProgramsAreAFleet(t *testing.T) {
	keys, token := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "token")
	for file, content := range map[string]string{keys: gossipKey(), token: "a-token-of-some-length\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := heddletest.FreePort(t)
	big := startHost(t, 11, keys, port)
	small := startHostOf(t, &heddleAgent, 12, keys, port, []string{"--api", "127.77.0.12:0", "--api-token-file", token}, big)
	web := heddletest.FreePort(t)
	big.runs(hostService{Name: "web", Port: big.whoami("big"), ServicePort: web})
	small.runs(hostService{Name: "web", Port: small.whoami("small"), ServicePort: web})
	for _, h := range []*fleetHost{big, small} {
		h.reaches(web, "", "big", "small")
	}

	asks := func(words ...string) []byte {
		t.Helper()
		out, err := exec.Command(heddleAgent.Path(t), append(words, "--agent", "http://"+small.ready.API)...).Output() //nolint:noctx // it ends by itself
		if err != nil {
			t.Fatalf("heddle-agent %s: %v, %s", strings.Join(words, " "), err, small.Log.String())
		}
		return out
	}
	var services []struct {
		Name   string
		Copies []struct{ ID, Host string }
	}
	if err := json.Unmarshal(asks("hosts", "services", "-o", "json"), &services); err != nil {
		t.Fatal(err)
	}
	if len(services) != 1 || len(services[0].Copies) != 2 {
		t.Fatalf("heddle-agent hosts services: %+v", services)
	}
	for _, one := range services[0].Copies {
		if one.Host == small.name {
			asks("hosts", "drain", one.ID, "--token-file", token)
		}
	}
	for _, h := range []*fleetHost{big, small} {
		h.reaches(web, "", "big")
	}
}
