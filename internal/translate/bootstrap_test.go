package translate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// static puts resources into one bootstrap, with everything that Envoy would
// ask a control plane for in its place: so that Envoy judges all of it at once,
// the endpoints, routes and secrets too.
func static(t testing.TB, resources []translate.Resource) []byte {
	t.Helper()
	return inline(t, resources, "")
}

// inline is static, but that Envoy watches a folder for endpoints if one is given.
func inline(t testing.TB, resources []translate.Resource, folder string) []byte {
	t.Helper()
	in := &inliner{t: t, folder: folder, endpoints: map[string]*endpointv3.ClusterLoadAssignment{}, routes: map[string]*routev3.RouteConfiguration{}, filters: map[string]*anypb.Any{}}
	out := &bootstrapv3.Bootstrap{Node: &corev3.Node{Id: "web/web-1", Cluster: "web"}, StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	// Nobody takes the reports of calls: that hurts nobody.
	out.StaticResources.Clusters = append(out.StaticResources.Clusters, &clusterv3.Cluster{
		Name: mesh.ControlPlaneCluster, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	})
	layer := &structpb.Struct{}
	for _, r := range resources {
		switch m := proto.Clone(r.Message).(type) {
		case *endpointv3.ClusterLoadAssignment:
			in.endpoints[m.ClusterName] = m
		case *routev3.RouteConfiguration:
			in.routes[m.Name] = m
		case *corev3.TypedExtensionConfig:
			in.filters[m.Name] = m.TypedConfig
		case *tlsv3.Secret:
			out.StaticResources.Secrets = append(out.StaticResources.Secrets, m)
		case *runtimev3.Runtime:
			layer = m.Layer
		case *clusterv3.Cluster:
			out.StaticResources.Clusters = append(out.StaticResources.Clusters, m)
		case *listenerv3.Listener:
			out.StaticResources.Listeners = append(out.StaticResources.Listeners, m)
		default:
			t.Fatalf("a %T is no resource", m)
		}
	}
	for _, c := range out.StaticResources.Clusters {
		in.cluster(c)
	}
	for _, l := range out.StaticResources.Listeners {
		in.listener(l)
	}
	out.LayeredRuntime = &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{
		{Name: "static", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: map[string]*structpb.Value{
			"re2.max_program_size.error_level": structpb.NewNumberValue(20_000), // as in the sidecars' bootstrap
			"re2.max_program_size.warn_level":  structpb.NewNumberValue(20_000),
		}}}},
		{Name: "heddle", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: layer}},
	}}
	body, err := protojson.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

type inliner struct {
	t         testing.TB
	folder    string
	endpoints map[string]*endpointv3.ClusterLoadAssignment
	routes    map[string]*routev3.RouteConfiguration
	filters   map[string]*anypb.Any
}

func (in *inliner) cluster(c *clusterv3.Cluster) {
	in.t.Helper()
	if c.GetType() == clusterv3.Cluster_EDS {
		name := c.EdsClusterConfig.ServiceName
		if name == "" {
			name = c.Name
		}
		if in.endpoints[name] == nil {
			in.t.Fatalf("cluster %q has no endpoints resource", c.Name)
		}
		if in.folder != "" {
			writeEndpoints(in.t, in.folder, in.endpoints[name])
			c.EdsClusterConfig.EdsConfig.ConfigSourceSpecifier = &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
				Path: endpointsFile(in.folder, name),
			}}
			return
		}
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		c.LoadAssignment, c.EdsClusterConfig = in.endpoints[name], nil
	}
	for _, socket := range append([]*corev3.TransportSocket{c.TransportSocket}, matched(c)...) {
		if socket == nil {
			continue
		}
		context := &tlsv3.UpstreamTlsContext{}
		in.unpack(socket.GetTypedConfig(), context)
		in.trusted(context.CommonTlsContext)
		in.identity(context.CommonTlsContext)
		socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: in.pack(context)}
	}
}

func matched(c *clusterv3.Cluster) (sockets []*corev3.TransportSocket) {
	for _, one := range c.TransportSocketMatches {
		sockets = append(sockets, one.TransportSocket)
	}
	return sockets
}

// trusted has the roots be found: a secret without a source is one of the bootstrap.
func (in *inliner) trusted(context *tlsv3.CommonTlsContext) {
	if secret := context.GetCombinedValidationContext().GetValidationContextSdsSecretConfig(); secret != nil {
		secret.SdsConfig = nil
	}
}

// identity puts a certificate where the proxy's is looked for.
func (in *inliner) identity(context *tlsv3.CommonTlsContext) {
	in.t.Helper()
	for _, one := range context.TlsCertificateSdsSecretConfigs {
		file := one.SdsConfig.GetPathConfigSource()
		if want := mesh.IdentityFolder + "/" + mesh.IdentityFile; file.Path != want || file.GetWatchedDirectory().GetPath() != mesh.IdentityFolder {
			in.t.Errorf("the certificate is looked for in %s, want %s", file.Path, want)
		}
		file.WatchedDirectory.Path = in.t.TempDir()
		file.Path = filepath.Join(file.WatchedDirectory.Path, mesh.IdentityFile)
		secret := &tlsv3.Secret{Name: mesh.IdentitySecret, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: selfSigned(in.t)}}
		body, err := protojson.Marshal(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{in.pack(secret)}})
		if err == nil {
			err = os.WriteFile(file.Path, body, 0o600)
		}
		if err != nil {
			in.t.Fatal(err)
		}
	}
}

// selfSigned is a certificate that nobody trusts, with its key.
func selfSigned(t testing.TB) *tlsv3.TlsCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})}}
	}
	return &tlsv3.TlsCertificate{CertificateChain: encoded("CERTIFICATE", certificate), PrivateKey: encoded("PRIVATE KEY", private)}
}

func (in *inliner) listener(l *listenerv3.Listener) {
	in.t.Helper()
	for _, chain := range l.FilterChains {
		in.certificates(chain.GetTransportSocket())
		for _, filter := range chain.Filters {
			in.filter(l, filter)
		}
	}
}

// filter has a filter find its configuration without a control plane.
func (in *inliner) filter(l *listenerv3.Listener, filter *listenerv3.Filter) {
	in.t.Helper()
	if filter.GetConfigDiscovery() != nil {
		filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: in.extension(filter.Name)}
	}
	if !filter.GetTypedConfig().MessageIs(&hcmv3.HttpConnectionManager{}) {
		return
	}
	m := &hcmv3.HttpConnectionManager{}
	in.unpack(filter.GetTypedConfig(), m)
	if name := m.GetRds().GetRouteConfigName(); name != "" {
		if in.routes[name] == nil {
			in.t.Fatalf("listener %q has no routes %q", l.Name, name)
		}
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: in.routes[name]}
	}
	for _, one := range m.HttpFilters {
		if one.GetConfigDiscovery() != nil {
			one.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: in.extension(one.Name)}
		}
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: in.pack(m)}
}

func (in *inliner) extension(name string) *anypb.Any {
	in.t.Helper()
	if in.filters[name] == nil {
		in.t.Fatalf("there is no configuration of the filter %q", name)
	}
	return in.filters[name]
}

// certificates puts a folder with certificates where a gateway's Envoy looks for them.
func (in *inliner) certificates(socket *corev3.TransportSocket) {
	in.t.Helper()
	if socket == nil {
		return
	}
	context, quic := &tlsv3.DownstreamTlsContext{}, &quicv3.QuicDownstreamTransport{}
	overQUIC := socket.GetTypedConfig().MessageIs(quic)
	if overQUIC {
		in.unpack(socket.GetTypedConfig(), quic)
		context = quic.DownstreamTlsContext
	} else {
		in.unpack(socket.GetTypedConfig(), context)
	}
	certificates := context.CommonTlsContext.TlsCertificateSdsSecretConfigs
	if len(certificates) > 0 && certificates[0].Name == mesh.IdentitySecret {
		in.trusted(context.CommonTlsContext)
		in.identity(context.CommonTlsContext)
		certificates = nil
	}
	for i, one := range certificates {
		file := one.SdsConfig.GetPathConfigSource()
		if want := fmt.Sprintf("%s/%d.json", mesh.CertificateFolder, i); file.Path != want {
			in.t.Errorf("certificate %d is looked for in %s, want %s", i, file.Path, want)
		}
		file.Path = filepath.Join(in.t.TempDir(), "certificate.json")
		if err := os.WriteFile(file.Path, []byte("{}"), 0o600); err != nil {
			in.t.Fatal(err)
		}
	}
	if overQUIC {
		socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: in.pack(quic)}
	} else {
		socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: in.pack(context)}
	}
}

func (in *inliner) unpack(from *anypb.Any, into proto.Message) {
	in.t.Helper()
	if err := from.UnmarshalTo(into); err != nil {
		in.t.Fatal(err)
	}
}

func (in *inliner) pack(m proto.Message) *anypb.Any {
	in.t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		in.t.Fatal(err)
	}
	return out
}

func endpointsFile(folder, service string) string { return filepath.Join(folder, service+".json") }

// writeEndpoints replaces the endpoints that Envoy watches; it reacts to files
// that are moved into place.
func writeEndpoints(t testing.TB, folder string, m *endpointv3.ClusterLoadAssignment) {
	t.Helper()
	packed, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	body, err := protojson.Marshal(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}})
	if err != nil {
		t.Fatal(err)
	}
	file := endpointsFile(folder, m.ClusterName)
	if err := os.WriteFile(file+".new", body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}
