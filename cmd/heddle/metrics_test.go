package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/kubernetes/attest"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubernetes/operator"
	"github.com/heddle-mesh/heddle/internal/kubernetes/webhook"
	"github.com/heddle-mesh/heddle/internal/xds"
)

const metricsPage = "../../docs/reference/metrics.md"

// labelMeanings says what each label of our metrics can be. Every label has few
// values: none of them grows with the services, the instances or the callers.
var labelMeanings = map[string]string{
	"cluster":   "A Kubernetes cluster, by its name in the mesh.",
	"type":      "kind of configuration: `cds` (clusters), `eds` (endpoints), `lds` (listeners), `rds` (routes), `sds` (secrets), `ecds` (extensions), `rtds` (runtime)",
	"transport": "service and variant of a stream: `ads-delta`, `ads-sotw`, `eds-delta`, …",
	"answer":    "of proxies: `ack`, `nack`; of the AuthZ service: `allowed`, `denied`, `observed`, `warned`, `unavailable`",
	"operation": "operation of the REST API (its OpenAPI document) or method of the gRPC API",
	"code":      "HTTP status, or gRPC code by name",
	"source":    "of tokens: where it came from, `memory`, `redis`, `signed`; of machines: the source, by its name",
	"what":      "`failed`, `refused`, `dropped`",
	"provider":  "provider of users in `--edge-config`",
	"outcome":   "of fetches: `done`, `failed`; of the audit: `done`, `refused`",
	"state":     "of instances: `live`, `stale`; of the Gateway API's objects: `accepted`, `refused`",
	"kind":      "`Gateway`, `HTTPRoute`, `GRPCRoute`",
	"health":    "of copies on hosts: `healthy`, `unhealthy`, `unknown`, `draining`",
	"status":    "of hosts: `alive`, `failed`",
	"kid":       "ID of the signing key",
	"result":    "of pods: `injected`, `left`, `refused`, `failed`, `malformed`; of attestations: `attested`, `refused`, `limited`, `failed`; of refreshes: `ok`, `failed`",
}

// family is one metric as a program exported it.
type family struct {
	name, kind, help string
	labels           []string
	programs         []string
}

var (
	metaLine   = regexp.MustCompile(`^# (HELP|TYPE) (\S+) (.*)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
	ourMetric  = regexp.MustCompile(`(?:Opts\{\s*Name:\s*|NewDesc\()"(heddle_[a-z0-9_]+)"`)
)

// scrape reads a program's /metrics by name.
func scrape(t *testing.T, url string) map[string]*family {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, response.Status, err)
	}
	return parseMetrics(string(body))
}

// parseMetrics reads Prometheus's text format.
func parseMetrics(text string) map[string]*family {
	families := map[string]*family{}
	of := func(name string) *family {
		if families[name] == nil {
			families[name] = &family{name: name}
		}
		return families[name]
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := metaLine.FindStringSubmatch(line); m != nil {
			if m[1] == "HELP" {
				of(m[2]).help = m[3]
			} else {
				of(m[2]).kind = m[3]
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[1]
		if families[name] == nil {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, cut := strings.CutSuffix(name, suffix); cut && families[base] != nil {
					name = base
				}
			}
		}
		one := of(name)
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			if label := pair[1]; label != "le" && label != "quantile" && !slices.Contains(one.labels, label) {
				one.labels = append(one.labels, label)
			}
		}
	}
	return families
}

// busyMesh is a server and an AuthZ service apart, each of which has had work of
// every kind.
type busyMesh struct{ server, authz string } // their /metrics

// startBusyMesh starts them and has them work.
func startBusyMesh(t *testing.T) busyMesh {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("edge.json", `{"providers": [{"name": "corp", "oidc": {"issuer": "https://127.0.0.1:1", "audiences": ["x"]}}]}`)
	write("secret", strings.Repeat("5e", 32)+"\n")
	write("mesh.yaml", threeServices)
	write("inventory.json", `{"vms": [{"name": "web-1", "private_ip": "10.0.1.4"}]}`)
	write("discovery.yaml", "sources: [{name: dc, inventory: {file: "+file("inventory.json")+"}}]\n")
	said := awaitReady(t, start("--log-level", "error", "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", file("data"), "--ready-file", file("server.json"), "--admin-token-file", file("token"), "--discovery", file("discovery.yaml")), file("server.json"))
	cli := func(args ...string) {
		t.Helper()
		var out, wrong bytes.Buffer
		if code := run(t.Context(), append(args, "--server", said["rest"], "--token-file", file("token")), strings.NewReader(""), &out, &wrong); code != cli.ExitOK {
			t.Fatalf("heddle %s: %s%s", strings.Join(args, " "), out.String(), wrong.String())
		}
	}
	cli("apply", "-f", file("mesh.yaml"))
	authz := awaitReady(t, start("--log-level", "error", "authz", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file("authz.json"),
		"--etcd-endpoints", "unix://"+file("data/etcd.sock"), "--key-file", file("secret"), "--insecure-plain-callers", "--edge-config", file("edge.json")), file("authz.json"))
	at := authzAt{grpc: authz["grpc"]}
	at.asks(t, "service/web", "orders")
	at.asks(t, "service/web", "ledger")
	proxyWorks(t, said["xds"], func(callees string) {
		cli("apply", "-f", writeTo(t, file("more.yaml"), strings.Replace(threeServices, "[orders]", callees, 1)+"---\nkind: Service\nname: billing\nowner: team-money\nprotocol: http\nport: 80\ndependencies: []\n"))
	})
	m := busyMesh{server: said["rest"] + "/metrics", authz: authz["http"] + "/metrics"}
	await(t, "the machines to be listed", func() bool { return scrape(t, m.server)["heddle_discovery_vms"] != nil })
	await(t, "the fetches of keys to be counted", func() bool { return scrape(t, m.authz)["heddle_authz_edge_fetches_total"] != nil })
	return m
}

func writeTo(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// proxyWorks plays a sidecar of web: it takes what it is sent at first, and what
// comes of a change, and refuses what comes of the next. It calls the gRPC API too.
func proxyWorks(t *testing.T, address string, change func(callees string)) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if _, err := heddlev1.NewServiceServiceClient(conn).ListServices(ctx, &heddlev1.ListServicesRequest{}); err != nil {
		t.Fatal(err)
	}
	sidecar := &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "web/1"}, TypeUrl: xds.TypeCluster, ResourceNamesSubscribe: []string{"*"}}
	// What was applied is with the control plane a moment later, and sidecars try again.
	await(t, "the control plane to know web", func() bool {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err == nil && stream.Send(sidecar) == nil {
			_, err = stream.Recv()
		}
		return err == nil
	})
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *discoveryv3.DeltaDiscoveryRequest) {
		t.Helper()
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	next := func() *discoveryv3.DeltaDiscoveryResponse {
		t.Helper()
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	ack := func(r *discoveryv3.DeltaDiscoveryResponse, refusal *statuspb.Status) {
		send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ErrorDetail: refusal})
	}
	send(sidecar)
	ack(next(), nil)
	change("[orders, ledger]")
	ack(next(), nil)
	change("[orders, ledger, billing]")
	ack(next(), &statuspb.Status{Code: 3, Message: "no"})
	// Answered last: the answers before it have been taken in by then.
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeSecret, ResourceNamesSubscribe: []string{"none"}})
	next()
}

// TestMetricsPageIsUpToDate holds docs/reference/metrics.md to what the programs
// export once they have had work of every kind, and that to the code: a metric that
// they never export is a fault of one or the other.
func TestMetricsPageIsUpToDate(t *testing.T) {
	m := startBusyMesh(t)
	families := map[string]*family{}
	for program, exported := range map[string]map[string]*family{
		"heddle server": scrape(t, m.server), "heddle authz": scrape(t, m.authz), "heddle operator": operatorMetrics(t), "heddle agent": agentMetrics(t),
	} {
		for name, one := range exported {
			if !strings.HasPrefix(name, "heddle_") {
				continue
			}
			if families[name] == nil {
				families[name] = one
			}
			families[name].programs = append(families[name].programs, program)
		}
	}
	for _, name := range metricsInTheCode(t) {
		if families[name] == nil {
			t.Errorf("the code has %s, and no program exported it", name)
		}
	}
	page := renderMetrics(t, families)
	if *update {
		if err := os.WriteFile(metricsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(there), string(page)); diff != "" {
		t.Errorf("docs/reference/metrics.md is not up to date: run go test ./cmd/heddle -run UpToDate -update\n%s", diff)
	}
}

// agentMetrics gives what a host's agent exports of its fleet.
func agentMetrics(t *testing.T) map[string]*family {
	t.Helper()
	all := prometheus.NewRegistry()
	all.MustRegister(api.Metrics{State: func() *hosts.State { return &hosts.State{} }})
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(all, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return parseMetrics(answer.Body.String())
}

// operatorMetrics are those of the operator's webhook and attestation. Without a
// Kubernetes cluster they have no work, and export all the same.
func operatorMetrics(t *testing.T) map[string]*family {
	t.Helper()
	all := prometheus.NewRegistry()
	webhook.NewMetrics(all)
	attest.NewMetrics(all)
	operator.NewMetrics(all, "prod")
	gatewayapi.NewMetrics(all, "prod")
	operator.NewStanding(slog.New(slog.DiscardHandler), all)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(all, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return parseMetrics(answer.Body.String())
}

// metricsInTheCode gives the names of metrics that the code mentions.
func metricsInTheCode(t *testing.T) []string {
	t.Helper()
	names := map[string]struct{}{}
	for _, root := range []string{"../../internal", "."} {
		err := filepath.WalkDir(root, func(file string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			text, err := os.ReadFile(file)
			for _, m := range ourMetric.FindAllSubmatch(text, -1) {
				names[string(m[1])] = struct{}{}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 20 {
		t.Fatalf("only %d metrics found in the code: does the test still see them?", len(names))
	}
	return slices.Sorted(maps.Keys(names))
}

func renderMetrics(t *testing.T, families map[string]*family) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Metrics\n\n<!-- Written by `go test ./cmd/heddle -run UpToDate -update` from what the programs export. -->\n\n")
	b.WriteString("What `heddle server`, `heddle authz` and the API of `heddle agent` export at `/metrics`, in Prometheus's text format, beside the metrics of the Go runtime (`go_…`, `process_…`).\n")
	b.WriteString("The dashboards, the alerts and what the figures mean: [observability](../observability.md). An AuthZ service inside the server (`--authz-listen`) adds its metrics to the server's.\n\n")
	b.WriteString("| metric | type | labels | what it is | in |\n| --- | --- | --- | --- | --- |\n")
	used := map[string]struct{}{}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		one := families[name]
		slices.Sort(one.labels)
		slices.Sort(one.programs)
		var labels []string
		for _, label := range one.labels {
			labels = append(labels, "`"+label+"`")
			used[label] = struct{}{}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, one.kind, strings.Join(labels, ", "), cell(one.help), strings.Join(one.programs, ", "))
	}
	b.WriteString("\n## Labels\n\nNone grows with the services, the instances or the callers of a mesh.\n\n| label | values |\n| --- | --- |\n")
	for _, label := range slices.Sorted(maps.Keys(labelMeanings)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", label, labelMeanings[label])
		if _, is := used[label]; !is {
			t.Errorf("no metric has the label %q", label)
		}
	}
	for label := range used {
		if labelMeanings[label] == "" {
			t.Errorf("the label %q is not explained: say in labelMeanings what it can be, and make sure that it has few values", label)
		}
	}
	return b.Bytes()
}
