// Package internal_test holds the rules that span packages: which of ours may
// import which, and where each third-party tree may be used. They are read
// from the source with go/parser, so that a test cache can see what they saw.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/heddle-mesh/heddle/"

// mayImport says which of our packages each of our packages may import, tests
// left aside. "*" is all of them. Data flows one way, and so do these.
var mayImport = map[string][]string{
	"cmd/heddle":                {"*"},
	"cmd/heddle-agent":          {"cmd/internal/cli", "cmd/internal/completion", "cmd/internal/agentcli", "cmd/internal/interceptcli"},
	"cmd/internal/cli":          {"internal/mesh", "internal/client", "internal/manifest", "internal/present"},
	"cmd/internal/completion":   {"cmd/internal/cli"},
	"cmd/internal/interceptcli": {"cmd/internal/cli", "internal/mesh", "internal/intercept", "internal/meshdns", "internal/proxy"},
	"cmd/internal/agentcli": {"cmd/internal/cli", "cmd/internal/interceptcli", "internal/mesh", "internal/hosts", "internal/gossip", "internal/catalog", "internal/client", "internal/present",
		"internal/proxy", "internal/proxy/haproxy", "internal/agent", "internal/agent/api", "internal/agent/api/page", "internal/agent/bridge", "internal/agent/docker",
		"internal/agent/files", "internal/agent/health", "internal/agent/systemd", "internal/agent/webhooks"},

	"api/heddle/v1":           {},
	"bench/authz":             {"bench/measured"},
	"bench/measured":          {},
	"bench/spine":             {"*"},
	"bench/ui":                {"*"},
	"bench/xds":               {"*"},
	"bench/xds/peers":         {},
	"examples/proxyless":      {},
	"hack/cluster":            {"internal/kubetest"},
	"hack/kube":               {},
	"internal/mesh":           {},
	"internal/identity":       {"internal/mesh"},
	"internal/workload":       {"internal/mesh", "internal/identity"},
	"internal/registry":       {"internal/mesh"},
	"internal/catalog":        {"internal/mesh"},
	"internal/translate":      {"internal/mesh", "internal/catalog"},
	"internal/insight":        {"internal/mesh", "internal/catalog", "internal/translate", "internal/placement"},
	"internal/picture":        {"internal/mesh"},
	"internal/cloudinit":      {"internal/hardening"},
	"internal/hardening":      {},
	"internal/xds":            {},
	"internal/controlplane":   {"internal/mesh", "internal/catalog", "internal/translate", "internal/xds"},
	"internal/client":         {"internal/mesh"},
	"internal/admission":      {"internal/mesh", "internal/catalog"},
	"internal/approvals":      {"internal/mesh", "internal/registry"},
	"internal/edits":          {"internal/mesh", "internal/catalog", "internal/admission", "internal/registry"},
	"internal/authz":          {"internal/mesh"},
	"internal/authz/edge":     {"internal/mesh", "internal/authz"},
	"internal/server":         {"internal/mesh", "internal/catalog", "internal/insight", "internal/placement", "internal/picture", "internal/admission", "internal/registry", "internal/identity", "internal/approvals", "internal/edits"},
	"internal/server/session": {"internal/mesh", "internal/registry"},
	"internal/server/ui":      {"internal/mesh", "internal/catalog", "internal/insight", "internal/placement", "internal/picture", "internal/admission", "internal/registry", "internal/identity", "internal/present", "internal/server/session", "internal/approvals", "internal/edits", "internal/server/ui/form"},
	"internal/server/ui/form": {"internal/mesh"},
	"internal/server/grpcapi": {"internal/mesh", "internal/catalog", "internal/admission", "internal/registry", "api/heddle/v1"},
	"internal/manifest":       {"internal/mesh"},
	"internal/present":        {},
	"internal/accesslog":      {"internal/mesh"},
	"internal/delivery":       {"internal/mesh"},
	"internal/proxy":          {"internal/mesh", "internal/lease", "internal/scratch"},
	"internal/proxy/haproxy":  {"internal/mesh", "internal/catalog", "internal/proxy", "internal/scratch"},
	"internal/scratch":        {},
	"internal/lease":          {"internal/mesh"},
	"internal/intercept":      {"internal/mesh", "internal/hardening"},
	"internal/meshdns":        {"internal/mesh"},
	"internal/fair":           {},
	"internal/probes":         {"internal/mesh", "internal/fair"},
	"internal/demo":           {"*"},
	"internal/demo/hosts":     {"*"},
	"internal/demo/shop":      {},
	"internal/demo/stage":     {},
	"internal/envoytest":      {"internal/childtest", "internal/treetest"},
	"internal/kubetest":       {"internal/childtest", "internal/treetest"},
	"internal/heddletest":     {"internal/mesh", "internal/childtest", "internal/envoytest", "internal/logtest", "internal/treetest"},
	"internal/childtest":      {},
	"internal/netnstest":      {},
	"internal/azuretest":      {},
	"internal/propertytest":   {},
	"internal/otlptest":       {},
	"internal/dashboards":     {},
	"internal/tracing":        {},
	"internal/calltest":       {},
	"internal/logtest":        {},
	"internal/treetest":       {},
	"internal/terraformtest":  {"internal/treetest"},

	"internal/lease/leasetest": {"internal/mesh"},

	"internal/agent/authority":   {"internal/hosts"},
	"internal/agent/docker":      {"internal/mesh", "internal/hosts", "internal/agent/authority"},
	"internal/agent/systemd":     {"internal/mesh", "internal/hosts", "internal/agent/authority"},
	"internal/dockerd":           {},
	"internal/dockertest":        {"internal/dockerd", "internal/treetest"},
	"internal/dockertest/whoami": {},

	"internal/gossip":         {},
	"internal/hosts":          {"internal/mesh"},
	"internal/agent":          {"internal/mesh", "internal/catalog", "internal/controlplane", "internal/gossip", "internal/hosts", "internal/proxy", "internal/translate", "internal/xds"},
	"internal/agent/files":    {"internal/mesh", "internal/hosts"},
	"internal/agent/health":   {"internal/mesh", "internal/hosts"},
	"internal/hosts/sidecar":  {"internal/hosts"},
	"internal/agent/api":      {"internal/mesh", "internal/hosts", "internal/hosts/sidecar"},
	"internal/agent/api/page": {"internal/hosts", "internal/present", "internal/agent/api"},
	"internal/agent/webhooks": {"internal/mesh", "internal/hosts", "internal/hosts/sidecar"},

	"internal/agent/bridge": {"internal/mesh", "internal/hosts", "internal/catalog", "internal/client", "internal/lease"},

	"internal/discovery":           {"internal/mesh"},
	"internal/discovery/inventory": {"internal/mesh", "internal/discovery"},
	"internal/discovery/azure":     {"internal/mesh", "internal/discovery"},
	"internal/placement":           {"internal/mesh", "internal/catalog"},

	"internal/kubernetes/inject":         {"internal/mesh", "internal/intercept", "internal/kubernetes/v1alpha1"},
	"internal/kubernetes/crd":            {"internal/mesh", "internal/kubernetes/v1alpha1"},
	"internal/kubernetes/v1alpha1":       {"internal/mesh"},
	"internal/kubernetes/operator":       {"internal/mesh", "internal/client", "internal/kubernetes/inject", "internal/kubernetes/gatewayapi", "internal/kubernetes/v1alpha1"},
	"internal/kubernetes/gatewayapi":     {"internal/mesh", "internal/client", "internal/kubernetes/v1alpha1"},
	"internal/kubernetes/webhook":        {"internal/mesh", "internal/fair", "internal/kubernetes/inject"},
	"internal/kubernetes/certificates":   {},
	"internal/kubernetes/attest":         {"internal/mesh", "internal/client", "internal/kubernetes/inject"},
	"internal/kubernetes/injector":       {"internal/mesh", "internal/client", "internal/kubernetes/attest", "internal/kubernetes/certificates", "internal/kubernetes/gatewayapi", "internal/kubernetes/inject", "internal/kubernetes/webhook"},
	"internal/kubernetes/install":        {"internal/kubernetes/v1alpha1", "internal/mesh", "internal/kubernetes/attest", "internal/kubernetes/inject", "internal/kubernetes/certificates", "internal/kubernetes/crd", "internal/kubernetes/gatewayapi", "internal/kubernetes/webhook"},
	"internal/kubernetes/gatewayproxies": {"internal/mesh", "internal/kubernetes/gatewayapi", "internal/kubernetes/install"},
}

// confined says which of our packages may use a third-party tree, tests left
// aside. The longest prefix wins; a tree not listed may be used anywhere.
var confined = map[string][]string{
	"go.etcd.io/etcd": {"internal/registry", "hack/kube"},
	"go.uber.org/zap": {"internal/registry"},
	"github.com/envoyproxy/go-control-plane/envoy": {"internal/translate", "internal/insight", "internal/xds", "internal/controlplane", "internal/proxy", "internal/delivery", "internal/authz", "internal/accesslog", "internal/demo", "bench/authz", "bench/spine", "bench/ui", "bench/xds/peers"},
	"github.com/envoyproxy/go-control-plane/pkg":   {"bench/xds/peers"},
	"github.com/alecthomas/kong":                   {"cmd/heddle", "cmd/heddle-agent", "cmd/internal/agentcli", "cmd/internal/cli", "cmd/internal/completion", "cmd/internal/interceptcli"},
	"github.com/danielgtaylor/huma":                {"internal/server"},
	"go.yaml.in/yaml":                              {"internal/manifest", "cmd/heddle"},
	"github.com/miekg/dns":                         {"internal/demo", "internal/meshdns"},
	"github.com/spiffe/go-spiffe":                  {"internal/authz", "internal/identity", "internal/workload"},
	"go.opentelemetry.io":                          {"internal/tracing", "internal/otlptest"},
	"k8s.io": {"internal/kubernetes/inject", "internal/kubernetes/webhook", "internal/kubernetes/certificates", "internal/kubernetes/attest", "internal/kubernetes/injector", "internal/kubernetes/install",
		"internal/kubetest", "hack/kube", "internal/kubernetes/gatewayproxies", "internal/kubernetes/crd", "internal/kubernetes/v1alpha1", "internal/kubernetes/operator", "internal/kubernetes/gatewayapi"},
	"sigs.k8s.io":                        {"internal/kubernetes/crd", "internal/kubernetes/v1alpha1", "internal/kubernetes/operator", "internal/kubernetes/install", "internal/kubernetes/gatewayapi", "internal/kubernetes/gatewayproxies"},
	"github.com/hashicorp/memberlist":    {"internal/gossip"},
	"github.com/fxamacker/cbor":          {"internal/gossip", "internal/hosts"},
	"github.com/godbus/dbus":             {"internal/agent/systemd"},
	"github.com/moby/moby":               {"internal/agent/docker", "internal/dockerd", "internal/dockertest"},
	"github.com/Azure":                   {"internal/discovery/azure", "internal/azuretest"},
	"github.com/redis/rueidis":           {"internal/authz"},
	"github.com/failsafe-go/failsafe-go": {"internal/authz"},
	"github.com/maypok86/otter":          {"internal/authz"},
	"github.com/coreos/go-oidc":          {"internal/server/session"},
	"golang.org/x/oauth2":                {"internal/server/session"},
	"github.com/go-jose/go-jose":         {"internal/authz", "internal/authz/edge", "internal/demo"},
}

// onlyStandardLibrary lists the packages that import nothing else.
var onlyStandardLibrary = []string{"internal/mesh"}

// forbiddenFolders say nothing about what is in them.
var forbiddenFolders = []string{"util", "utils", "common", "helpers", "types", "base", "shared", "pkg", "misc"}

// goFile is one Go file of ours and what it imports.
type goFile struct {
	pkg, name string
	imports   []string
}

func (f goFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func readTree(t *testing.T) []goFile {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var files []goFile
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != root && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		one := goFile{pkg: path.Dir(filepath.ToSlash(relative)), name: entry.Name()}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			one.imports = append(one.imports, imported)
		}
		files = append(files, one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestImportsGoOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range readTree(t) {
		seen[f.pkg] = true
		if f.isTest() {
			continue
		}
		allowed, listed := mayImport[f.pkg]
		if !listed {
			t.Errorf("%s/%s: package %s is not in mayImport; say there what it may import", f.pkg, f.name, f.pkg)
			continue
		}
		for _, imported := range f.imports {
			ours, is := strings.CutPrefix(imported, module)
			if is && !slices.Contains(allowed, "*") && !slices.Contains(allowed, ours) {
				t.Errorf("%s/%s imports %s, which %s may not", f.pkg, f.name, ours, f.pkg)
			}
		}
	}
	for pkg := range mayImport {
		if !seen[pkg] {
			t.Errorf("mayImport lists %s, which does not exist", pkg)
		}
	}
}

func TestThirdPartyTreesAreConfined(t *testing.T) {
	for _, f := range readTree(t) {
		if f.isTest() {
			continue
		}
		for _, imported := range f.imports {
			if strings.HasPrefix(imported, module) {
				continue
			}
			if slices.Contains(onlyStandardLibrary, f.pkg) && strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s/%s imports %s; %s is for the standard library only", f.pkg, f.name, imported, f.pkg)
			}
			if tree := longestPrefix(imported); tree != "" && !slices.Contains(confined[tree], f.pkg) {
				t.Errorf("%s/%s imports %s; that tree is confined to %v", f.pkg, f.name, imported, confined[tree])
			}
		}
	}
}

func longestPrefix(imported string) string {
	longest := ""
	for tree := range confined {
		if (imported == tree || strings.HasPrefix(imported, tree+"/")) && len(tree) > len(longest) {
			longest = tree
		}
	}
	return longest
}

func TestFoldersSayWhatIsInThem(t *testing.T) {
	for _, f := range readTree(t) {
		for part := range strings.SplitSeq(f.pkg, "/") {
			if slices.Contains(forbiddenFolders, part) {
				t.Errorf("%s: %q says nothing about what is in it", f.pkg, part)
			}
		}
	}
}
