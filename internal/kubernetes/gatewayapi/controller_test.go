package gatewayapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	heddle "github.com/heddle-mesh/heddle/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

// registryServer is a whole server: real etcd, and HTTP over TCP.
func registryServer(t *testing.T, lists *atomic.Int64) *client.Client {
	t.Helper()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := store.EnsureAdminToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	view := catalog.New(catalog.Config{})
	serving, err := heddle.New(heddle.Config{Registry: store, Catalog: view, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		store.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) { view.Apply(b.Revision, b.Synced, b.Changes) })
	}()
	listener := httptest.NewUnstartedServer(nil)
	listener.Config = serving.HTTPServer()
	handler := listener.Config.Handler
	listener.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && (strings.HasSuffix(r.URL.Path, "/services") || strings.HasSuffix(r.URL.Path, "/routes")) {
			lists.Add(1)
		}
		handler.ServeHTTP(w, r)
	})
	listener.Start()
	api, err := client.New(client.Config{Address: listener.URL, Token: admin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		api.Close()
		serving.Close()
		listener.Close()
		cancel()
		<-watched
		_ = store.Close()
		etcd.Close()
	})
	return api
}

const objects = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle}
spec: {controllerName: heddle.io/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NAMESPACE}
spec: {gatewayClassName: heddle, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: NAMESPACE, labels: {gateway.networking.k8s.io/gateway-name: edge}}
spec: {ports: [{port: 80}], externalIPs: [192.0.2.1]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {ports: [{port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web.shop, namespace: NAMESPACE}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.test]
  rules: [{backendRefs: [{name: web, port: 8080}]}]
`

// start runs a controller, which change may make another.
func start(t *testing.T, cluster *kubetest.Cluster, api *client.Client, change ...func(*gatewayapi.Controller)) manager.Manager {
	t.Helper()
	known := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	if err := gw.Install(known); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	m, err := manager.New(cluster.Config, manager.Options{Scheme: known, Logger: logr.FromSlogHandler(log.Handler()), Metrics: server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)}})
	if err != nil {
		t.Fatal(err)
	}
	if is, err := gatewayapi.Installed(m.GetRESTMapper()); err != nil || !is {
		t.Fatalf("the Gateway API is not installed: %v", err)
	}
	c := &gatewayapi.Controller{
		Cluster: "prod", Client: m.GetClient(), Live: m.GetAPIReader(), Registry: api, Log: log,
		Changes: func(func()) func() { return func() {} },
	}
	for _, one := range change {
		one(c)
	}
	if err := c.Start(m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- m.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return m
}

// edge reads the Service of a Gateway, and changes what it read.
func edge(t *testing.T, m manager.Manager, namespace string, change func(*corev1.Service)) *corev1.Service {
	t.Helper()
	var s corev1.Service
	if err := m.GetAPIReader().Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "edge"}, &s); err != nil {
		t.Fatal(err)
	}
	change(&s)
	return &s
}

// move gives the Service of a Gateway another address, and waits until the Gateway says so.
func move(t *testing.T, m manager.Manager, namespace, address string) {
	t.Helper()
	if err := m.GetClient().Update(t.Context(), edge(t, m, namespace, func(s *corev1.Service) { s.Spec.ExternalIPs = []string{address} })); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "have the Gateway at "+address, func() error {
		var gateway gw.Gateway
		if err := m.GetAPIReader().Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "edge"}, &gateway); err != nil {
			return err
		}
		if all := gateway.Status.Addresses; len(all) != 1 || all[0].Value != address {
			return fmt.Errorf("it is at %s", inShort(all))
		}
		return nil
	})
}

// apply has objects in a namespace for as long as the test.
func apply(t *testing.T, cluster *kubetest.Cluster, manifests, namespace string) {
	t.Helper()
	manifests = strings.ReplaceAll(manifests, "NAMESPACE", namespace)
	cluster.Apply(t, manifests)
	t.Cleanup(func() {
		if out, err := cluster.Kubectl(t, manifests, "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(out, err)
		}
	})
}

// TestARouteOfTheGatewayAPIReachesTheRegistry, with the real API server and registry,
// and leaves it again; and what is not changed is not written.
func TestARouteOfTheGatewayAPIReachesTheRegistry(t *testing.T) {
	cluster := kubetest.Shared(t)
	cluster.GatewayAPI(t)
	namespace := cluster.Namespace(t)
	api := registryServer(t, new(atomic.Int64))
	m := start(t, cluster, api)
	ctx := t.Context()
	apply(t, cluster, objects, namespace)
	at := types.NamespacedName{Namespace: namespace, Name: "edge"}
	var route gw.HTTPRoute
	kubetest.Eventually(t, "have the route accepted and the Gateway programmed", func() error {
		var gateway gw.Gateway
		if err := m.GetAPIReader().Get(ctx, at, &gateway); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(gateway.Status.Conditions, "Programmed") || len(gateway.Status.Addresses) != 1 || gateway.Status.Listeners[0].AttachedRoutes != 1 {
			return fmt.Errorf("the gateway says %s", inShort(gateway.Status))
		}
		if err := m.GetAPIReader().Get(ctx, types.NamespacedName{Namespace: namespace, Name: "web.shop"}, &route); err != nil {
			return err
		}
		for _, p := range route.Status.Parents {
			if meta.IsStatusConditionTrue(p.Conditions, "Accepted") && meta.IsStatusConditionTrue(p.Conditions, "ResolvedRefs") && p.Conditions[0].ObservedGeneration == route.Generation {
				return nil
			}
		}
		return fmt.Errorf("the route says %s", inShort(route.Status))
	})
	routes, err := api.Routes(ctx)
	if err != nil || len(routes) != 1 {
		t.Fatalf("the registry has %d routes: %v", len(routes), err)
	}
	if made := routes[0]; made.Gateways[0] != gatewayapi.GatewayName("prod", at) || made.Hosts[0] != "shop.test" || made.Meta.Keeper != gatewayapi.KeeperOf("prod", namespace) {
		t.Errorf("the registry's route is %s", inShort(made))
	}
	services, err := api.Services(ctx)
	if err != nil || len(services) != 1 || services[0].Endpoints.Kubernetes.Service != "web" {
		t.Fatalf("the registry's services are %s: %v", inShort(services), err)
	}
	if _, err := api.PutRoute(ctx, routes[0]); mesh.KindOf(err) != mesh.KindConflict {
		t.Errorf("somebody else changed it: %v", err)
	}

	// It says the same when all is looked at again: nothing is written.
	version := route.ResourceVersion
	move(t, m, namespace, "192.0.2.2")
	if err := m.GetAPIReader().Get(ctx, types.NamespacedName{Namespace: namespace, Name: "web.shop"}, &route); err != nil || route.ResourceVersion != version {
		t.Errorf("the route was written again, without a change: %v", err)
	}

	if err := m.GetClient().Delete(ctx, &route); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "have the registry empty", func() error {
		routes, err := api.Routes(ctx)
		services, also := api.Services(ctx)
		if err != nil || also != nil || len(routes)+len(services) > 0 {
			return fmt.Errorf("%d routes, %d services: %w", len(routes), len(services), errors.Join(err, also))
		}
		return nil
	})
}

func inShort(v any) string {
	body, _ := json.Marshal(v)
	return string(body)
}
