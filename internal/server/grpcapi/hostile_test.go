package grpcapi_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestEveryFaultOfAnUpstreamIsReported(t *testing.T) {
	h := start(t)
	cases := map[string]struct {
		upstream *heddlev1.Upstream
		want     []string
	}{
		"nothing at all":   {nil, []string{"upstream: is required"}},
		"an empty message": {&heddlev1.Upstream{}, []string{"upstream.endpoints: is required: dns or static", "upstream.name: is required", "upstream.owner: is required", "upstream.protocol: is required", "upstream.port: is required"}},
		"an empty list":    {staticUpstream("db"), []string{"upstream.static: is empty"}},
		"a host name among addresses": {staticUpstream("db", "10.0.0.1", "db.example.com"),
			[]string{`upstream.static.addresses[1].address: "db.example.com" is not an IP address`}},
		"an address as the host name": {dnsUpstream("db", "10.0.0.1"), []string{`upstream.dns.host: "10.0.0.1" is an IP address`}},
		"a name with a slash":         {dnsUpstream("../../etc", "a.example.com"), []string{"upstream.name: "}},
		"ports out of range": {&heddlev1.Upstream{Name: "db", Owner: "o", Protocol: 4, Port: 70000, ListenerPort: math.MaxUint32,
			Endpoints: &heddlev1.Upstream_Dns{Dns: &heddlev1.DnsEndpoints{Host: "a.example.com", Port: 65536}}},
			[]string{"upstream.port: 70000 is not a port", "upstream.dns.port: 65536 is not a port", "upstream.listener_port: 4294967295 is not a port"}},
		"enum values of the future": {&heddlev1.Upstream{Name: "db", Owner: "o", Protocol: 99, Port: 1,
			Endpoints: &heddlev1.Upstream_Dns{Dns: &heddlev1.DnsEndpoints{Host: "a.example.com", Discovery: -1}},
			Traffic:   &heddlev1.Traffic{LoadBalancing: &heddlev1.LoadBalancing{Policy: 99}}},
			[]string{`upstream.protocol: "enum value 99" is not one of http`, `upstream.dns.discovery: "enum value -1"`, `upstream.traffic.load_balancing.policy: "enum value 99"`}},
		"numbers that are none": {func() *heddlev1.Upstream {
			u := staticUpstream("db", "10.0.0.1")
			u.Protocol = heddlev1.Protocol_PROTOCOL_HTTP
			u.Subsets = []*heddlev1.Subset{{Name: "a", Labels: map[string]string{"zoneId": "\x01"}}}
			u.Routes = []*heddlev1.RouteRule{{Mirror: &heddlev1.Mirror{Subset: "a", Percent: math.NaN()}}}
			return u
		}(), []string{"upstream.routes[0].mirror.percent: is not a finite number", "upstream.subsets[0].labels.zoneId: has control characters", "upstream.subsets: cannot be used with dns or static endpoints"}},
		"durations": {func() *heddlev1.Upstream {
			u := dnsUpstream("db", "a.example.com")
			u.Traffic = &heddlev1.Traffic{
				Timeout: &durationpb.Duration{Seconds: 1, Nanos: -1}, IdleTimeout: &durationpb.Duration{Seconds: -5},
				ConnectTimeout: &durationpb.Duration{Seconds: 315_000_000_000}, OutlierDetection: &heddlev1.OutlierDetection{BaseEjectionTime: &durationpb.Duration{Seconds: math.MaxInt64}},
			}
			return u
		}(), []string{"upstream.traffic.timeout: is not a valid duration", "upstream.traffic.outlier_detection.base_ejection_time: is not a valid duration",
			"upstream.traffic.idle_timeout: -5s is out of range", "upstream.traffic.connect_timeout: 2562047h47m16.854775807s is out of range"}},
		"durations of zero": {func() *heddlev1.Upstream {
			u := dnsUpstream("db", "a.example.com")
			u.Traffic = &heddlev1.Traffic{Timeout: &durationpb.Duration{}, IdleTimeout: &durationpb.Duration{}}
			u.Routes = []*heddlev1.RouteRule{{Timeout: &durationpb.Duration{}, Retries: &heddlev1.Retries{Attempts: 1, PerTryTimeout: &durationpb.Duration{}}}}
			return u
		}(), []string{
			`upstream.traffic.timeout: is zero, which does not mean "no bound" here: leave it out for the default, or lift the bound with no_timeout: true under the service's traffic`,
			"upstream.traffic.idle_timeout: is zero",
			`upstream.routes[0].timeout: is zero, which does not mean "no bound" here: leave it out for the default, or lift the bound with no_timeout: true`,
			`upstream.routes[0].retries.per_try_timeout: is zero, which does not mean "no bound" here: leave it out for the default$`,
		}},
		"an empty header value": {func() *heddlev1.Upstream {
			u := dnsUpstream("db", "a.example.com")
			u.Routes = []*heddlev1.RouteRule{{Match: &heddlev1.RequestMatch{Headers: []*heddlev1.HeaderMatch{{Name: "x-a", Value: &heddlev1.HeaderMatch_Exact{}}}}}}
			return u
		}(), []string{"upstream.routes[0].match.headers[0]: matches an empty value"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: c.upstream})
			faulty(t, err, c.want...)
			_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: c.upstream, Revision: -1})
			faulty(t, err, append(c.want, "revision: is negative")...)
		})
	}
	services, _, err := h.store.Services(t.Context())
	ok(t, err)
	if len(services) > 0 {
		t.Errorf("something was written: %v", services)
	}
}

func TestEveryFaultOfAServiceIsReported(t *testing.T) {
	h := start(t)
	missing := declaration("orders")
	missing.Dependencies = nil
	missing.Endpoints = &heddlev1.Endpoints{Source: &heddlev1.Endpoints_Static{Static: &heddlev1.StaticEndpoints{
		Addresses: []*heddlev1.StaticEndpoint{{Address: "10.0.0.1"}}}}}
	_, err := h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: missing})
	faulty(t, err, "service.dependencies: is required: list the services", "service.endpoints.static.addresses[0].port: is required")
	_, err = h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: declaration("orders", "stock", "Stock", "orders", "stock")})
	faulty(t, err, "service.dependencies.names[1]: ", "service.dependencies.names[3]: \"stock\" is listed already")
	_, err = h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Revision: -7})
	faulty(t, err, "name: is required", "revision: is negative")
	_, err = h.server.services.GetService(h.reader(), &heddlev1.GetServiceRequest{})
	faulty(t, err, "name: is required")
}

func TestFieldsThatThisServerDoesNotKnowAreRefused(t *testing.T) {
	h := start(t)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 4000, protowire.VarintType), 1)
	upstream := staticUpstream("db", "10.0.0.1")
	upstream.ProtoReflect().SetUnknown(unknown)
	upstream.GetStatic().Addresses[0].ProtoReflect().SetUnknown(unknown)
	_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: upstream})
	refused(t, err, codes.InvalidArgument, "has no field 4000")
	got := strings.Join(violations(t, err), "\n")
	for _, want := range []string{"upstream: heddle.v1.Upstream has no field 4000", "upstream.static.addresses[0]: heddle.v1.StaticEndpoint has no field 4000"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestThousandsOfFaultsFitIntoHeaders(t *testing.T) {
	h := start(t)
	upstream := staticUpstream("db", slices.Repeat([]string{"\u00e9"}, 1000)...)
	_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: upstream})
	refused(t, err, codes.InvalidArgument)
	got := violations(t, err)
	if last := got[len(got)-1]; !strings.HasPrefix(last, ": and ") || !strings.HasSuffix(last, " more") {
		t.Errorf("the last violation is %q", last)
	}
	if size := proto.Size(status.Convert(err).Proto()); size > 5500 {
		t.Errorf("the status has %d bytes, which no longer fit into 8 KiB of headers in base64", size)
	}

	var many []byte
	for range 10_000 {
		many = protowire.AppendVarint(protowire.AppendTag(many, 4000, protowire.VarintType), 1)
	}
	upstream = dnsUpstream("db", "a.example.com")
	upstream.ProtoReflect().SetUnknown(many)
	_, err = h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: upstream})
	refused(t, err, codes.InvalidArgument, "has no field 4000")
}

func TestARequestOverOneMebibyteIsRefused(t *testing.T) {
	h := start(t)
	upstream := dnsUpstream("db", "a.example.com")
	upstream.Description = strings.Repeat("x", 1<<20)
	_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: upstream})
	refused(t, err, codes.ResourceExhausted, "at most 1048576 are allowed")
	_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: strings.Repeat("x", 1<<20)})
	refused(t, err, codes.ResourceExhausted, "at most 1048576 are allowed")
}

func TestNamesThatCannotExistAreNotFound(t *testing.T) {
	h := start(t)
	for _, name := range []string{"..", "a/b", strings.Repeat("x", 100_000), "\x00", "é"} {
		_, err := h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: name})
		refused(t, err, codes.NotFound)
		_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: name})
		refused(t, err, codes.NotFound)
	}
}

// raw sends bytes as they are.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) ([]byte, error) {
	data, is := v.([]byte)
	if !is {
		return nil, fmt.Errorf("not bytes: %T", v)
	}
	return data, nil
}
func (raw) Unmarshal([]byte, any) error { return nil }

func TestBytesThatAreNoMessageAreRefused(t *testing.T) {
	h := start(t)
	name := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "\xff\xfe")
	for what, data := range map[string][]byte{
		"not UTF-8": protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), name),
		"cut off":   {0x0a, 0x7f},
		"noise":     {0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		err := h.server.conn.Invoke(h.writer(), heddlev1.UpstreamService_CreateUpstream_FullMethodName, data, &[]byte{}, grpc.ForceCodec(raw{}))
		if err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	h.create(dnsUpstream("search", "a.example.com")) // the server lives on
}

func TestWritesNeedAToken(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("search", "a.example.com"))
	with := func(values ...string) metadata.MD { return metadata.MD{"authorization": values} }
	id, _ := h.token("search")
	for name, c := range map[string]struct {
		md   metadata.MD
		says string
	}{
		"none":            {metadata.MD{}, "need one metadata entry"},
		"two":             {with("Bearer "+h.admin, "Bearer "+h.admin), "need one metadata entry"},
		"another scheme":  {with("Basic " + h.admin), "has to read"},
		"no scheme":       {with(h.admin), "has to read"},
		"an empty one":    {with("Bearer "), "has to read"},
		"an unknown one":  {with("Bearer hdl_000000000000_00"), "is not known"},
		"no token at all": {with("Bearer x"), "is not known"},
		"a wrong secret":  {with("Bearer hdl_" + id + "_00"), "is not known"},
		"a huge one":      {with("Bearer " + strings.Repeat("x", 5000)), "has to read"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.NewOutgoingContext(h.reader(), c.md)
			_, err := h.server.upstreams.CreateUpstream(ctx, &heddlev1.CreateUpstreamRequest{})
			refused(t, err, codes.Unauthenticated, c.says)
			_, err = h.server.upstreams.UpdateUpstream(ctx, &heddlev1.UpdateUpstreamRequest{})
			refused(t, err, codes.Unauthenticated, c.says)
			_, err = h.server.services.DeleteService(ctx, &heddlev1.DeleteServiceRequest{Name: "search"})
			refused(t, err, codes.Unauthenticated, c.says)
		})
	}
}

func TestALimitedTokenWritesItsServiceOnly(t *testing.T) {
	h := start(t)
	id, secret := h.token("orders")
	_, err := h.server.services.CreateService(h.as(secret), &heddlev1.CreateServiceRequest{Service: declaration("orders")})
	ok(t, err)
	_, err = h.server.services.CreateService(h.as(secret), &heddlev1.CreateServiceRequest{Service: declaration("payments")})
	refused(t, err, codes.PermissionDenied, `"orders" only`, `not "payments"`)
	h.create(dnsUpstream("search", "a.example.com"))
	_, err = h.server.upstreams.UpdateUpstream(h.as(secret), &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("search", "b.example.com")})
	refused(t, err, codes.PermissionDenied)
	_, err = h.server.upstreams.DeleteUpstream(h.as(secret), &heddlev1.DeleteUpstreamRequest{Name: "search"})
	refused(t, err, codes.PermissionDenied)

	ok(t, h.store.RevokeToken(t.Context(), id, registry.Write{}))
	_, err = h.server.services.DeleteService(h.as(secret), &heddlev1.DeleteServiceRequest{Name: "orders"})
	refused(t, err, codes.Unauthenticated, "revoked")
}
