package registry_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestMain(m *testing.M) {
	var options []goleak.Option
	// Members of a cluster dial each other by HTTP, and leave idle connections
	// behind for a while. The registry itself has none.
	for _, function := range []string{"(*persistConn).readLoop", "(*persistConn).writeLoop", "(*conn).serve", "(*connReader).backgroundRead"} {
		options = append(options, goleak.IgnoreAnyFunction("net/http."+function))
	}
	goleak.VerifyTestMain(m, options...)
}

// openStore starts an etcd for one test, and opens a store on it.
func openStore(t *testing.T) *registry.Store {
	t.Helper()
	_, store := startEtcd(t, t.TempDir())
	return store
}

func startEtcd(t *testing.T, dir string) (*registry.Embedded, *registry.Store) {
	t.Helper()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return etcd, store
}

// etcd answers web pages of any origin over HTTP, which would have them read and
// write the mesh through the browser of someone on the same machine.
func TestEmbeddedEtcdIsNotForWebPages(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir(), Listen: address})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	browser := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := browser.Post("http://"+address+"/v3/kv/range", "text/plain", strings.NewReader(`{"key":"AA==","range_end":"AA=="}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("it answers %s", answer.Status)
	}
	store, err := registry.Open(t.Context(), registry.Config{Endpoints: []string{address}}) // as etcdctl does
	if err != nil {
		t.Fatal(err)
	}
	_ = store.Close()
}

func service(name string, dependencies ...mesh.ServiceName) mesh.Service {
	if dependencies == nil {
		dependencies = []mesh.ServiceName{}
	}
	return mesh.Service{Name: mesh.ServiceName(name), Owner: "team-a", Protocol: mesh.HTTP, Port: 80, Dependencies: dependencies}
}

func instance(service, id string) mesh.Instance {
	return mesh.Instance{ID: mesh.InstanceID(id), Service: mesh.ServiceName(service), Address: "127.0.0.1", Port: 8080}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func wantKind(t *testing.T, err error, kind mesh.ErrorKind) {
	t.Helper()
	if mesh.KindOf(err) != kind {
		t.Fatalf("error is %v, want one of kind %q", err, kind)
	}
}

func TestAServiceIsWrittenReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	first := must[mesh.Service](t)(s.PutService(ctx, service("orders", "payments"), registry.Write{Author: "ada", Source: "rest", Create: true}))
	if first.Meta.Revision == 0 || first.Meta.Author != "ada" || first.Meta.UpdatedAt.IsZero() {
		t.Errorf("the registry did not say what it stored: %+v", first.Meta)
	}
	_, err := s.PutService(ctx, service("orders"), registry.Write{Create: true})
	wantKind(t, err, mesh.KindConflict)

	second := must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{Revision: first.Meta.Revision}))
	_, err = s.PutService(ctx, service("orders", "late"), registry.Write{Revision: first.Meta.Revision})
	wantKind(t, err, mesh.KindConflict)
	got := must[mesh.Service](t)(s.Service(ctx, "orders"))
	if len(got.Dependencies) != 0 || got.Meta.Revision != second.Meta.Revision {
		t.Errorf("the stale write left a trace: %+v", got)
	}

	wantKind(t, s.DeleteService(ctx, "orders", registry.Write{Revision: first.Meta.Revision}), mesh.KindConflict)
	if err := s.DeleteService(ctx, "orders", registry.Write{Revision: second.Meta.Revision}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Service(ctx, "orders")
	wantKind(t, err, mesh.KindNotFound)
	wantKind(t, s.DeleteService(ctx, "orders", registry.Write{}), mesh.KindNotFound)
	_, err = s.PutService(ctx, service("orders"), registry.Write{Revision: second.Meta.Revision})
	wantKind(t, err, mesh.KindConflict)
}

func TestInvalidObjectsAreRefused(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := s.PutService(t.Context(), mesh.Service{Name: "Not A Name"}, registry.Write{})
	wantKind(t, err, mesh.KindInvalid)
	_, err = s.Register(t.Context(), []mesh.Instance{{ID: "a"}}, time.Minute, registry.Write{})
	wantKind(t, err, mesh.KindInvalid)
	_, err = s.Register(t.Context(), []mesh.Instance{instance("a", "1")}, time.Millisecond, registry.Write{})
	wantKind(t, err, mesh.KindInvalid)
}

func TestARequestIDMakesAWriteHappenOnce(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	w := registry.Write{Author: "ada", RequestID: "r1", Create: true}
	first := must[mesh.Service](t)(s.PutService(ctx, service("orders"), w))
	again := must[mesh.Service](t)(s.PutService(ctx, service("orders"), w))
	if again.Meta.Revision != first.Meta.Revision {
		t.Errorf("repeated, the request gave revision %d, first %d", again.Meta.Revision, first.Meta.Revision)
	}
	_, err := s.PutService(ctx, service("stock"), w)
	wantKind(t, err, mesh.KindConflict)
	other := w
	other.Author = "bob"
	must[mesh.Service](t)(s.PutService(ctx, service("stock"), other))

	drop := registry.Write{Author: "ada", RequestID: "r2"}
	for range 2 {
		if err := s.DeleteService(ctx, "orders", drop); err != nil {
			t.Fatalf("repeated, the deletion failed: %v", err)
		}
	}
	reg := registry.Write{Author: "ada", RequestID: "r3"}
	one := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, reg))
	two := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, reg))
	if one[0].Epoch != two[0].Epoch {
		t.Errorf("repeated, the registration took another lease: %s, %s", one[0].Epoch, two[0].Epoch)
	}
}

func TestOnlyTheOwnerOfAnEpochTouchesAnInstance(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	old := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
	owner := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
	_, err := s.Renew(ctx, old.Key(), old.Epoch)
	wantKind(t, err, mesh.KindConflict)
	wantKind(t, s.Deregister(ctx, old.Key(), old.Epoch, registry.Write{}), mesh.KindConflict)
	if ttl := must[time.Duration](t)(s.Renew(ctx, owner.Key(), owner.Epoch)); ttl != time.Minute {
		t.Errorf("renewed for %s, want a minute", ttl)
	}
	drained := must[mesh.Instance](t)(s.SetHealth(ctx, owner.Key(), owner.Epoch, mesh.Draining, registry.Write{}))
	if drained.Health != mesh.Draining || drained.Epoch != owner.Epoch {
		t.Errorf("drained: %+v", drained)
	}
	if err := s.Deregister(ctx, owner.Key(), owner.Epoch, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Renew(ctx, owner.Key(), owner.Epoch)
	wantKind(t, err, mesh.KindNotFound)
	left, _, err := s.Instances(ctx, "orders")
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestABatchIsRegisteredWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	batch := make([]mesh.Instance, registry.MaxBatch)
	for i := range batch {
		batch[i] = instance("orders", "i"+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	must[[]mesh.Instance](t)(s.Register(ctx, batch[50:51], time.Minute, registry.Write{}))
	_, err := s.Register(ctx, batch, time.Minute, registry.Write{Create: true})
	wantKind(t, err, mesh.KindConflict)
	if list := must[[]mesh.Instance](t)(instancesOf(ctx, s)); len(list) != 1 {
		t.Errorf("a refused batch left %d instances", len(list))
	}
	must[[]mesh.Instance](t)(s.Register(ctx, batch, time.Minute, registry.Write{}))
	if list := must[[]mesh.Instance](t)(instancesOf(ctx, s)); len(list) != len(batch) {
		t.Errorf("registered %d, want %d", len(list), len(batch))
	}
}

func instancesOf(ctx context.Context, s *registry.Store) ([]mesh.Instance, error) {
	list, _, err := s.Instances(ctx, "orders")
	return list, err
}

// A server that was stopped in the middle of its first start had made the only
// token, and told nobody.
func TestTheFirstTokenIsToldThoughTheServerIsToStop(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	secret := must[string](t)(s.EnsureAdminToken(ctx))
	must[registry.Token](t)(s.Authenticate(t.Context(), secret))
}

func TestTokensAreCheckedAndRevoked(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t), t.Context()
	admin := must[string](t)(s.EnsureAdminToken(ctx))
	if admin == "" {
		t.Fatal("no admin token was made on an empty registry")
	}
	if again := must[string](t)(s.EnsureAdminToken(ctx)); again != "" {
		t.Error("a second admin token was made")
	}
	token := must[registry.Token](t)(s.Authenticate(ctx, admin))
	if !token.Admin() {
		t.Error("the first token may not write everything")
	}
	limited, secret, err := s.CreateToken(ctx, registry.Token{Service: "orders", Author: "ada"}, registry.Write{})
	if err != nil {
		t.Fatal(err)
	}
	got := must[registry.Token](t)(s.Authenticate(ctx, secret))
	if got.MayWrite("web") || !got.MayWrite("orders") || got.Admin() {
		t.Errorf("the limited token is not limited: %+v", got)
	}
	for _, wrong := range []string{"", "hdl_", "hdl__", "hdl_" + limited.ID + "_00", secret + "0", "hdl_../../x_1", "x", admin[:len(admin)-1] + "z"} {
		_, err := s.Authenticate(ctx, wrong)
		wantKind(t, err, mesh.KindDenied)
	}
	if err := s.RevokeToken(ctx, limited.ID, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Authenticate(ctx, secret)
	wantKind(t, err, mesh.KindDenied)
	wantKind(t, s.RevokeToken(ctx, limited.ID, registry.Write{}), mesh.KindNotFound)
	if list := must[[]registry.Token](t)(s.Tokens(ctx)); len(list) != 1 {
		t.Errorf("left %v", list)
	}
}

func TestWhatIsStoredIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := must[*registry.Store](t)(etcd.Open(t.Context()))
	must[mesh.Service](t)(s.PutService(t.Context(), service("orders"), registry.Write{}))
	_, err = registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: dir})
	wantKind(t, err, mesh.KindConflict) // in use
	_ = s.Close()
	etcd.Close()
	_, s = startEtcd(t, dir)
	must[mesh.Service](t)(s.Service(t.Context(), "orders"))
}

// An etcd that was full once refused every write for good, restarts included.
func TestAFullEtcdHasRoomAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd, s := startEtcd(t, dir)
	must[mesh.Service](t)(s.PutService(t.Context(), service("orders"), registry.Write{}))
	connection := must[*grpc.ClientConn](t)(grpc.NewClient(etcd.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	maintenance := etcdserverpb.NewMaintenanceClient(connection)
	status := must[*etcdserverpb.StatusResponse](t)(maintenance.Status(t.Context(), &etcdserverpb.StatusRequest{}))
	must[*etcdserverpb.AlarmResponse](t)(maintenance.Alarm(t.Context(), &etcdserverpb.AlarmRequest{
		Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: etcdserverpb.AlarmType_NOSPACE,
	}))
	_ = connection.Close()
	_, err := s.PutService(t.Context(), service("orders"), registry.Write{})
	wantKind(t, err, mesh.KindUnavailable)
	if err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("it does not say how to mend it: %v", err)
	}
	_ = s.Close()
	etcd.Close()
	_, s = startEtcd(t, dir)
	must[mesh.Service](t)(s.PutService(t.Context(), service("orders"), registry.Write{}))
}

// A lease lasts for a day if its owner says so.
func TestARefusedRegistrationLeavesNoLeaseBehind(t *testing.T) {
	t.Parallel()
	etcd, s := startEtcd(t, t.TempDir())
	var list []mesh.Instance
	for i := range registry.MaxBatch {
		one := instance("orders", "orders-"+strconv.Itoa(i))
		one.Labels = map[string]string{}
		for j := range 64 {
			one.Labels["label-"+strconv.Itoa(j)] = strings.Repeat("x", 255)
		}
		list = append(list, one)
	}
	_, err := s.Register(t.Context(), list, registry.MaxTTL, registry.Write{RequestID: "large"})
	wantKind(t, err, mesh.KindInvalid)
	leases := must[*clientv3.LeaseLeasesResponse](t)(raw(t, etcd).Leases(t.Context()))
	if n := len(leases.Leases); n > 1 { // that of the request ids
		t.Errorf("%d leases are left", n)
	}
}
