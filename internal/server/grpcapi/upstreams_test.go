package grpcapi_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// pemCA is a certificate that signs itself; nobody has its key.
const pemCA = `-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUfsDpEkXAJV4qiLLP7SK82bm1EZwwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOSGVkZGxlIHRlc3QgQ0EwIBcNMjYxMTIxMDgyMjQxWhgPMjEy
NjEwMjgwODIyNDFaMBkxFzAVBgNVBAMMDkhlZGRsZSB0ZXN0IENBMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAECLAicGyYP1ciYnzX62F9lfJtCR5Wpx503O1OztbF
vzfwRbG5ZL3sboLGz5tpkAnLJecxR465cQKRkRlRc03MeqNTMFEwHQYDVR0OBBYE
FDgRxOBzhx7CubWxIs7CTS8Ix3yNMB8GA1UdIwQYMBaAFDgRxOBzhx7CubWxIs7C
TS8Ix3yNMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAInCf2oe
2JTqZHUXIikhQF/VmTSdvAfn73fVWlduMq/hAiAqsnUvLE1yBWNLnvSc85ptId0X
FM5H79f3DtSiQGAd+Q==
-----END CERTIFICATE-----
`

func TestUpstreamsAreAddedChangedAndRemoved(t *testing.T) {
	h := start(t)
	tokens, err := h.store.Tokens(t.Context())
	ok(t, err)
	cases := map[string]struct {
		upstream *heddlev1.Upstream
		stored   mesh.Service // without Meta
	}{
		"a host name, strict": {
			dnsUpstream("search", "search.internal.example"),
			mesh.Service{Name: "search", Owner: "team-shop", Protocol: mesh.HTTP, Port: 443, Dependencies: []mesh.ServiceName{},
				Endpoints: mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: "search.internal.example"}}},
		},
		"a host name, logical, with TLS and a port of its own": {
			&heddlev1.Upstream{Name: "billing", Owner: "team-pay", Protocol: heddlev1.Protocol_PROTOCOL_GRPC, Port: 443, ListenerPort: 9443,
				Endpoints: &heddlev1.Upstream_Dns{Dns: &heddlev1.DnsEndpoints{
					Host: "billing.example.com", Port: 8443, Discovery: heddlev1.DnsDiscovery_DNS_DISCOVERY_LOGICAL,
					Family: heddlev1.IpFamily_IP_FAMILY_ALL, Refresh: durationpb.New(1500 * time.Millisecond), Resolvers: []string{"10.0.0.2:53"},
				}},
				Traffic: &heddlev1.Traffic{Timeout: durationpb.New(3 * time.Second), Tls: &heddlev1.UpstreamTls{
					Sni: "billing.example.com", Ca: pemCA, SubjectAltNames: []string{"*.example.com"}, MinVersion: heddlev1.TlsVersion_TLS_VERSION_1_3,
				}}},
			mesh.Service{Name: "billing", Owner: "team-pay", Protocol: mesh.GRPC, Port: 443, ListenerPort: 9443, Dependencies: []mesh.ServiceName{},
				Endpoints: mesh.Endpoints{DNS: &mesh.DNSEndpoints{Host: "billing.example.com", Port: 8443, Discovery: mesh.DNSLogical, Family: mesh.IPBoth,
					Refresh: mesh.Duration(1500 * time.Millisecond), Resolvers: []string{"10.0.0.2:53"}}},
				Traffic: mesh.Traffic{Timeout: mesh.Duration(3 * time.Second), TLS: &mesh.UpstreamTLS{
					SNI: "billing.example.com", CA: pemCA, SubjectAltNames: []string{"*.example.com"}, MinVersion: "1.3"}}},
		},
		"a list of addresses": {
			staticUpstream("database", "10.0.0.5", "fd00::5"),
			mesh.Service{Name: "database", Owner: "team-data", Protocol: mesh.TCP, Port: 5432, Dependencies: []mesh.ServiceName{},
				Endpoints: mesh.Endpoints{Static: []mesh.StaticEndpoint{{Address: "10.0.0.5", Port: 5432}, {Address: "fd00::5", Port: 5432}}}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			created := h.create(c.upstream)
			same(t, created, c.upstream)
			stored, err := h.store.Service(t.Context(), c.stored.Name)
			ok(t, err)
			meta := stored.Meta
			stored.Meta = mesh.Meta{}
			if diff := cmp.Diff(c.stored, stored); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if meta.Source != "grpc" || meta.Author != "token:"+tokens[0].ID || meta.Revision != created.GetMeta().GetRevision() || created.GetMeta().GetUpdatedAt().AsTime().Sub(meta.UpdatedAt) != 0 {
				t.Errorf("meta is %+v, the answer says %v", meta, created.GetMeta())
			}

			got, err := h.server.upstreams.GetUpstream(h.writer(), &heddlev1.GetUpstreamRequest{Name: c.upstream.GetName()})
			ok(t, err)
			if diff := cmp.Diff(created, got.GetUpstream(), protocmp.Transform()); diff != "" {
				t.Errorf("read back (-created +got):\n%s", diff)
			}

			changed := proto.CloneOf(c.upstream)
			changed.Description = "changed"
			updated, err := h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: changed, Revision: created.GetMeta().GetRevision()})
			ok(t, err)
			same(t, updated.GetUpstream(), changed)

			_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: changed.GetName(), Revision: updated.GetUpstream().GetMeta().GetRevision()})
			ok(t, err)
			_, err = h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: changed.GetName()})
			refused(t, err, codes.NotFound, changed.GetName())
		})
	}
}

func TestServicesAreAddedChangedAndRemoved(t *testing.T) {
	h := start(t)
	service := declaration("orders", "payments", "stock")
	service.Subsets = []*heddlev1.Subset{{Name: "v1", Labels: map[string]string{"version": "1"}}, {Name: "v2", Labels: map[string]string{"version": "2"}}}
	service.Routes = []*heddlev1.RouteRule{{
		Match: &heddlev1.RequestMatch{Path: &heddlev1.PathMatch{Kind: &heddlev1.PathMatch_Prefix{Prefix: "/api"}}, Methods: []string{"GET"}},
		To:    []*heddlev1.WeightedSubset{{Subset: "v1", Weight: 90}, {Subset: "v2", Weight: 10}},
	}}
	created, err := h.server.services.CreateService(h.writer(), &heddlev1.CreateServiceRequest{Service: service})
	ok(t, err)
	sameService(t, created.GetService(), service)

	service.Routes[0].To[0].Weight, service.Routes[0].To[1].Weight = 0, 100
	updated, err := h.server.services.UpdateService(h.writer(), &heddlev1.UpdateServiceRequest{Service: service})
	ok(t, err)
	got, err := h.server.services.GetService(h.reader(), &heddlev1.GetServiceRequest{Name: "orders"})
	ok(t, err)
	sameService(t, got.GetService(), service)
	if updated.GetService().GetMeta().GetRevision() <= created.GetService().GetMeta().GetRevision() {
		t.Error("an update did not raise the revision")
	}

	_, err = h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Name: "orders"})
	ok(t, err)
	_, err = h.server.services.GetService(h.reader(), &heddlev1.GetServiceRequest{Name: "orders"})
	refused(t, err, codes.NotFound, "orders")
	_, err = h.server.services.DeleteService(h.writer(), &heddlev1.DeleteServiceRequest{Name: "orders"})
	refused(t, err, codes.NotFound, "orders")
	_, err = h.server.services.UpdateService(h.writer(), &heddlev1.UpdateServiceRequest{Service: service})
	refused(t, err, codes.NotFound, "orders")
}

func TestAServiceThatCallsNothingComesBackWithItsEmptyList(t *testing.T) {
	h := start(t)
	h.declare("leaf")
	got, err := h.server.services.GetService(h.reader(), &heddlev1.GetServiceRequest{Name: "leaf"})
	ok(t, err)
	if got.GetService().GetDependencies() == nil {
		t.Fatal("dependencies were left out; what is read could not be written back")
	}
	_, err = h.server.services.UpdateService(h.writer(), &heddlev1.UpdateServiceRequest{Service: got.GetService()})
	ok(t, err)
}

func TestUpstreamServiceLeavesRegisteredServicesAlone(t *testing.T) {
	h := start(t)
	declared := h.declare("orders")
	_, err := h.server.upstreams.CreateUpstream(h.writer(), &heddlev1.CreateUpstreamRequest{Upstream: dnsUpstream("orders", "example.com")})
	refused(t, err, codes.AlreadyExists, "orders exists already")
	for _, id := range []string{"", "first"} {
		_, err = h.server.upstreams.UpdateUpstream(h.writer(), &heddlev1.UpdateUpstreamRequest{Upstream: dnsUpstream("orders", "example.com"), RequestId: id})
		refused(t, err, codes.NotFound, "is no upstream", "ServiceService")
		_, err = h.server.upstreams.DeleteUpstream(h.writer(), &heddlev1.DeleteUpstreamRequest{Name: "orders", RequestId: id})
		refused(t, err, codes.NotFound, "is no upstream")
	}
	_, err = h.server.upstreams.GetUpstream(h.reader(), &heddlev1.GetUpstreamRequest{Name: "orders"})
	refused(t, err, codes.NotFound, "is no upstream")
	got, err := h.server.services.GetService(h.writer(), &heddlev1.GetServiceRequest{Name: "orders"})
	ok(t, err)
	if diff := cmp.Diff(declared, got.GetService(), protocmp.Transform()); diff != "" {
		t.Errorf("the service was touched (-before +after):\n%s", diff)
	}
}

func TestUpstreamsShowAmongTheServices(t *testing.T) {
	h := start(t)
	h.create(dnsUpstream("search", "search.example.com"))
	got, err := h.server.services.GetService(h.reader(), &heddlev1.GetServiceRequest{Name: "search"})
	ok(t, err)
	if got.GetService().GetEndpoints().GetDns().GetHost() != "search.example.com" {
		t.Errorf("got %v", got)
	}
}

// same compares two upstreams without what the registry sets.
func same(t *testing.T, got, want *heddlev1.Upstream) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(&heddlev1.Upstream{}, "meta")); diff != "" {
		t.Errorf("upstream (-want +got):\n%s", diff)
	}
}

func sameService(t *testing.T, got, want *heddlev1.Service) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(&heddlev1.Service{}, "meta")); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
}
