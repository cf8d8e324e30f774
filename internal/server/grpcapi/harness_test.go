package grpcapi_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server/grpcapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a registry on a real etcd and the API over real gRPC.
type harness struct {
	t           *testing.T
	dir         string // etcd's data
	embedded    *registry.Embedded
	store       *registry.Store
	catalog     *catalog.Catalog      // empty, unless a test fills it
	metrics     prometheus.Registerer // of the servers; nil: none
	admin       string                // a token's secret
	takeTimeout time.Duration         // of the servers; 0: the default
	change      func(*grpcapi.Config) // of the servers; nil: nothing
	server      *server
}

// server is one run of the API; a harness may have several, one after the other.
type server struct {
	api       *grpcapi.API
	grpc      *grpc.Server
	conn      *grpc.ClientConn
	upstreams heddlev1.UpstreamServiceClient
	services  heddlev1.ServiceServiceClient
}

func start(t *testing.T) *harness {
	t.Helper()
	dir := t.TempDir()
	embedded, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: dir})
	ok(t, err)
	t.Cleanup(embedded.Close)
	store, err := embedded.Open(t.Context())
	ok(t, err)
	t.Cleanup(func() { _ = store.Close() })
	admin, err := store.EnsureAdminToken(t.Context())
	ok(t, err)
	h := &harness{t: t, dir: dir, embedded: embedded, store: store, catalog: catalog.New(catalog.Config{}), admin: admin}
	h.server = h.serve()
	return h
}

func (h *harness) serve() *server {
	h.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(h.t, err)
	cfg := grpcapi.Config{Registry: h.store, Catalog: h.catalog, Registerer: h.metrics, TakeTimeout: h.takeTimeout}
	if h.change != nil {
		h.change(&cfg)
	}
	s := &server{api: grpcapi.New(cfg)}
	s.grpc = grpc.NewServer(s.api.ServerOptions()...)
	s.api.Register(s.grpc)
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(listener) }()
	s.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	ok(h.t, err)
	s.upstreams, s.services = heddlev1.NewUpstreamServiceClient(s.conn), heddlev1.NewServiceServiceClient(s.conn)
	h.t.Cleanup(func() {
		_ = s.conn.Close()
		s.api.Stop()
		s.grpc.Stop()
		if err := <-served; err != nil {
			h.t.Errorf("serve: %v", err)
		}
	})
	return s
}

// as gives a context with a token, bounded in time.
func (h *harness) as(secret string) context.Context {
	return metadata.AppendToOutgoingContext(h.reader(), "authorization", "Bearer "+secret)
}

// reader gives a context without a token, bounded in time.
func (h *harness) reader() context.Context {
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	h.t.Cleanup(cancel)
	return ctx
}

func (h *harness) writer() context.Context { return h.as(h.admin) }

// token makes a token limited to one service.
func (h *harness) token(service mesh.ServiceName) (id, secret string) {
	h.t.Helper()
	token, secret, err := h.store.CreateToken(h.t.Context(), registry.Token{Service: service}, registry.Write{})
	ok(h.t, err)
	return token.ID, secret
}

// create adds an upstream that has to be accepted.
func (h *harness) create(u *heddlev1.Upstream) *heddlev1.Upstream {
	h.t.Helper()
	answer, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: u})
	ok(h.t, err)
	return answer.GetUpstream()
}

// declare adds a service whose instances are registered.
func (h *harness) declare(name string) *heddlev1.Service {
	h.t.Helper()
	answer, err := h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: declaration(name)})
	ok(h.t, err)
	return answer.GetService()
}

func declaration(name string, dependencies ...string) *heddlev1.Service {
	return &heddlev1.Service{
		Name: name, Owner: "team-shop", Protocol: heddlev1.Protocol_PROTOCOL_HTTP, Port: 8080,
		Dependencies: &heddlev1.Dependencies{Names: dependencies},
	}
}

func dnsUpstream(name, host string) *heddlev1.Upstream {
	return &heddlev1.Upstream{
		Name: name, Owner: "team-shop", Protocol: heddlev1.Protocol_PROTOCOL_HTTP, Port: 443,
		Endpoints: &heddlev1.Upstream_Dns{Dns: &heddlev1.DnsEndpoints{Host: host}},
	}
}

func staticUpstream(name string, addresses ...string) *heddlev1.Upstream {
	list := &heddlev1.StaticEndpoints{}
	for _, address := range addresses {
		list.Addresses = append(list.Addresses, &heddlev1.StaticEndpoint{Address: address, Port: 5432})
	}
	return &heddlev1.Upstream{
		Name: name, Owner: "team-data", Protocol: heddlev1.Protocol_PROTOCOL_TCP, Port: 5432,
		Endpoints: &heddlev1.Upstream_Static{Static: list},
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused holds an error to its code and to what its message has to say.
func refused(t *testing.T, err error, code codes.Code, says ...string) {
	t.Helper()
	if got := status.Code(err); got != code {
		t.Fatalf("got %v (%v), want %v", got, err, code)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// because holds an error to the reason that programs go by.
func because(t *testing.T, err error, reason string) {
	t.Helper()
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is && info.GetReason() == reason && info.GetDomain() == "heddle" {
			return
		}
	}
	t.Errorf("%v has details %v, not the reason %s", err, status.Convert(err).Details(), reason)
}

// violations gives the field violations of an error as "field: description".
func violations(t *testing.T, err error) []string {
	t.Helper()
	var list []string
	for _, detail := range status.Convert(err).Details() {
		bad, is := detail.(*errdetails.BadRequest)
		if !is {
			t.Fatalf("a detail is a %T", detail)
		}
		for _, one := range bad.GetFieldViolations() {
			list = append(list, one.GetField()+": "+one.GetDescription())
		}
	}
	return list
}

// faulty holds an error to INVALID_ARGUMENT with exactly these violations, in
// order; each is given by how it begins, or as a whole with "$" behind it.
func faulty(t *testing.T, err error, want ...string) {
	t.Helper()
	refused(t, err, codes.InvalidArgument)
	got := violations(t, err)
	if len(got) != len(want) {
		t.Fatalf("got %d violations, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if begin, whole := strings.CutSuffix(want[i], "$"); !strings.HasPrefix(got[i], begin) || whole && got[i] != begin {
			t.Errorf("violation %d: got %q, want %q…", i, got[i], want[i])
		}
	}
}
