package gatewayapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/pkg/features"
)

var update = flag.Bool("update", false, "write the table in docs/gateway-api.md anew")

// lacking are the features of Gateways, HTTPRoutes and GRPCRoutes that our GatewayClasses do
// not say they have, and why: their tests are not run.
var lacking = map[features.FeatureName]string{
	features.SupportGatewayPort8080:                                            "one port for a scheme",
	features.SupportGatewayStaticAddresses:                                     "a Gateway has the addresses of its Service",
	features.SupportGatewayAddressEmpty:                                        "a Gateway has the addresses of its Service",
	features.SupportGatewayHTTPListenerIsolation:                               "listeners of one port are not kept apart",
	features.SupportGatewayHTTPSListenerDetectMisdirectedRequests:              "nothing is answered 421",
	features.SupportGatewayInfrastructure:                                      "a command prints the Deployment and the Service, which nothing makes by itself",
	features.SupportGatewayBackendClientCertificate:                            "pods outside the mesh are called without TLS",
	features.SupportGatewayFrontendClientCertificateValidation:                 "clients are not asked for certificates",
	features.SupportGatewayFrontendClientCertificateValidationInsecureFallback: "clients are not asked for certificates",
	features.SupportListenerSet:                                                "no ListenerSets",
	features.SupportHTTPRoute303RedirectStatusCode:                             leadsBack,
	features.SupportHTTPRoute307RedirectStatusCode:                             leadsBack,
	features.SupportHTTPRoute308RedirectStatusCode:                             leadsBack,
	features.SupportHTTPRouteParentRefPort:                                     "one port for a scheme",
	features.SupportHTTPRouteDestinationPortMatching:                           "one port for a scheme",
	features.SupportHTTPRouteBackendRequestHeaderModification:                  "no filters of backends",
	features.SupportHTTPRouteRequestMultipleMirrors:                            "one mirror for a rule",
	features.SupportHTTPRouteBackendTimeout:                                    "no `timeouts.backendRequest`",
	features.SupportHTTPRouteCORS:                                              "no CORS",
	features.SupportHTTPRouteRetry:                                             "retries are declared by the service",
	features.SupportHTTPRouteRetryBackendTimeout:                               "retries are declared by the service",
	features.SupportHTTPRouteRetryConnectionError:                              "retries are declared by the service",
}

const leadsBack = "a redirect that leads back to its own route is refused"

// tried are the features of the kinds that are served.
func tried() []features.FeatureName {
	all := features.SetsToNamesSet(features.GatewayCoreFeatures, features.GatewayExtendedFeatures, features.HTTPRouteCoreFeatures, features.HTTPRouteExtendedFeatures,
		features.GRPCRouteCoreFeatures, features.GRPCRouteExtendedFeatures, features.ReferenceGrantCoreFeatures).UnsortedList()
	slices.Sort(all)
	return all
}

const page, begins, ends = repository + "/docs/gateway-api.md", "<!-- conformance: written by the test -->\n", "<!-- end -->"

// compare holds the table in the documentation to what the suite found.
func compare(t *testing.T, file string) {
	t.Helper()
	table, unexplained := tabled(t, file)
	for _, one := range unexplained {
		t.Error(one)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begins)
	was, after, also := strings.Cut(rest, ends)
	if !found || !also {
		t.Fatalf("%s has no place for the table", page)
	}
	if *update {
		was = table
		if err := os.WriteFile(filepath.Clean(page), []byte(before+begins+table+ends+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was != table {
		t.Errorf("the table in docs/gateway-api.md is not what the suite finds: run make conformance-gateway-api ARGS=-update\n%s", table)
	}
}

// tabled gives the table, and what no reason is given for, or a wrong one.
func tabled(t *testing.T, file string) (table string, unexplained []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	var rows []string
	ours := map[features.FeatureName]bool{}
	for _, one := range tried() {
		ours[one] = true
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var one result
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(one.Features, func(f features.FeatureName) bool { return !ours[f] }) {
			counts["of other kinds"]++
			continue
		}
		why := ""
		for _, f := range one.Features {
			if lacking[f] != "" {
				why = lacking[f]
			}
		}
		if (one.Result == "passed") != (why == "") {
			unexplained = append(unexplained, fmt.Sprintf("%s %s, and the reason is %q", one.Name, one.Result, why))
		}
		how := one.Result
		if how == "skipped" {
			how = "not run"
		}
		counts[how]++
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", one.Name, how, why))
	}
	slices.Sort(rows)
	if len(rows)+counts["of other kinds"] != len(tests.ConformanceTests) {
		unexplained = append(unexplained, fmt.Sprintf("%d of %d tests have a result", len(rows)+counts["of other kinds"], len(tests.ConformanceTests)))
	}
	table = fmt.Sprintf("%d tests of Gateways, HTTPRoutes and GRPCRoutes: %d pass, all of the core features among them; %d fail; %d are not run for want of a feature. %d are of other kinds, and not run.\n\n| test | | why |\n| --- | --- | --- |\n",
		len(rows), counts["passed"], counts["failed"], counts["not run"], counts["of other kinds"])
	return table + strings.Join(rows, ""), unexplained
}
