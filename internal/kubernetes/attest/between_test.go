package attest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// registered asks a registry itself, as the server does for a keeper's token, and
// lets something happen between the attestor's judgement and what follows from it.
type registered struct {
	store   *registry.Store
	by      registry.Token
	between func()
}

func (r *registered) Service(ctx context.Context, name mesh.ServiceName) (*mesh.Service, error) {
	service, err := r.store.Service(ctx, name)
	return &service, err
}

func (r *registered) JoinToken(ctx context.Context, of mesh.Identity, _ client.Bound, judged int64, description string, life time.Duration) (string, error) {
	if r.between != nil {
		r.between()
	}
	_, secret, err := r.store.CreateJoinToken(ctx, registry.Token{Service: of.Name, Description: description}, life, registry.Write{By: r.by, Keeper: r.by.Keeper, Revision: judged})
	return secret, err
}

// A service that changes hands while a pod is being judged: the pod gets no token of it,
// and is judged anew when it asks again.
func TestAServiceChangesHandsWhileAPodIsJudged(t *testing.T) {
	b := newBench(t)
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	declare := func(accounts ...string) {
		t.Helper()
		service := mesh.Service{Name: "web", Owner: "team", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{},
			Endpoints: mesh.Endpoints{Kubernetes: &mesh.KubernetesEndpoints{Clusters: []string{"prod"}, Namespace: b.namespace, ServiceAccounts: accounts}}}
		if _, err := store.PutService(t.Context(), service, registry.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	declare()
	keeper := registry.Token{ID: "operator", Kind: registry.KeeperToken, Keeper: "kubernetes/prod"}
	through := &registered{store: store, by: keeper, between: func() { declare("another") }}
	attestor := New(Config{Cluster: "prod", Kubernetes: b.cluster.Client, Mesh: through})
	token := b.token(t, b.pod, "heddle")
	ask := func() (int, string) {
		return post(t, attestor, token, `{"service":"web","instance":"`+string(mesh.PodInstance("web-1", b.namespace, "prod"))+`"}`)
	}
	if status, body := ask(); status != http.StatusServiceUnavailable || !strings.Contains(body, "changed just now") {
		t.Errorf("%d %s", status, body)
	}
	if made, err := store.Tokens(t.Context()); err != nil || len(made) != 0 {
		t.Errorf("there are %+v, %v", made, err)
	}
	through.between = nil
	if status, body := ask(); status != http.StatusForbidden || !strings.Contains(body, "serviceAccounts") {
		t.Errorf("asked again: %d %s", status, body)
	}
	declare("default")
	if status, body := ask(); status != http.StatusOK {
		t.Errorf("as it is to be: %d %s", status, body)
	}
}
