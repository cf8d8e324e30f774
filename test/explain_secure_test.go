package test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// TestExplainAgreesWithSidecars: who is let in, by the AuthZ service, by mutual TLS
// and by the filters of the called sidecars, with tokens and without.
func TestExplainAgreesWithSidecars(t *testing.T) {
	t.Parallel()
	envoytest.Path(t)
	s := startServer(t, "--tls-listen", "127.0.0.1:0", "--xds-tls-listen", "127.0.0.1:0", "--authz-listen", "127.0.0.1:0")
	approved := func(how mesh.Enforcement, callers ...string) mesh.Access {
		return mesh.Access{Callers: mesh.ApprovedCallers, Approved: callers, Enforcement: how}
	}
	access := map[mesh.ServiceName]mesh.Access{
		"open": {}, "strict": {MTLS: mesh.Strict},
		"deny": approved(mesh.Deny, "web"), "warn": approved(mesh.Warn, "web"), "observe": approved(mesh.Observe),
		"stream": approved("", "web"), "counted": approved(mesh.Observe), "old": {}, "mixed": {MTLS: mesh.Strict},
	}
	names := []mesh.ServiceName{"open", "strict", "deny", "warn", "observe", "stream", "counted", "old", "mixed"}
	tcp := []mesh.ServiceName{"stream", "counted"}
	var secure []string
	for n, name := range names {
		callee := service(string(name), mesh.HTTP)
		callee.Access = access[name]
		if name == "stream" || name == "counted" {
			callee.Protocol, callee.Port = mesh.TCP, mesh.Port(1000+n)
		}
		s.declare(callee)
		if name != "old" && name != "mixed" {
			secure = append(secure, string(name))
		}
	}
	s.declare(service("web", mesh.HTTP, names...), service("shop", mesh.HTTP, names...), service("other", mesh.HTTP, "open"))
	here := app(t, answersItself)
	s.register("old", "1", here)   // without a sidecar
	s.register("mixed", "1", here) // so nothing of it takes mutual TLS

	var list workloads
	callers := map[string]*workload{}
	ports := map[string]map[mesh.ServiceName]string{}
	for _, name := range secure {
		list = append(list, newSecureWorkload(t, s, name, name+"-1", here))
	}
	for _, name := range []string{"web", "shop", "other"} {
		w := newSecureWorkload(t, s, name, name+"-1", "")
		ports[name] = map[mesh.ServiceName]string{}
		for _, callee := range tcp {
			port := heddletest.FreePort(t)
			if name != "other" {
				w.Arguments = append(w.Arguments, "--dependency-port", fmt.Sprintf("%s=%d", callee, port))
				ports[name][callee] = heddletest.Loopback(port)
			}
		}
		callers[name], list = w, append(list, w)
	}
	t.Cleanup(list.leave)
	list.start(t)
	plain := startSidecar(t, s, "web", "web-plain", "", proxy.Delta, tcp...)

	table := func() []posed {
		var all []posed
		for _, callee := range names {
			for name, w := range callers {
				for _, path := range []string{"/", "/api"} {
					all = append(all, posed{name + "/" + name + "-1", string(callee), w.outbound(), mesh.ExplainedRequest{Host: string(callee), Path: path}})
				}
				if at := ports[name][callee]; at != "" {
					all = append(all, posed{from: name + "/" + name + "-1", to: string(callee), address: at})
				}
			}
			all = append(all, posed{"web/web-plain", string(callee), plain.outbound, mesh.ExplainedRequest{Host: string(callee), Path: "/"}})
			if at := plain.ports[callee]; at != "" {
				all = append(all, posed{from: "web/web-plain", to: string(callee), address: at})
			}
		}
		return all
	}
	for _, callee := range []string{"open", "strict", "deny", "warn"} { // all that was declared before has come
		callers["web"].side().wants(t, callee, "/", http.StatusOK, "here")
	}
	plain.wants(t, "open", "/", http.StatusOK, "here")
	agree(t, s.client, table())

	// Without the AuthZ service the called sidecars know by themselves.
	if err := s.client.OrderSigningKeys(t.Context(), "withdraw"); err != nil {
		t.Fatal(err)
	}
	heddletest.Eventually(t, "the called sidecar to refuse by itself", func() error {
		got, err := callers["shop"].side().call(t, "deny", "/")
		if err == nil && got.header.Get("x-heddle-reason") != "caller" {
			err = fmt.Errorf("%d %s", got.status, got.body)
		}
		return err
	})
	for _, callee := range []string{"open", "strict", "deny", "warn"} {
		callers["web"].side().wants(t, callee, "/", http.StatusOK, "here")
	}
	agree(t, s.client, table())
}
