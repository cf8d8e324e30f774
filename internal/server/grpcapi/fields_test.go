package grpcapi

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	heddlev1 "github.com/heddle-mesh/heddle/api/heddle/v1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestEveryFieldOfTheModelIsCarried fails when a field is added to the model and
// not to the messages: it would be lost by whoever reads an object and writes it
// back.
func TestEveryFieldOfTheModelIsCarried(t *testing.T) {
	var full mesh.Service
	fill(reflect.ValueOf(&full).Elem(), "service")
	full.Meta = mesh.Meta{Revision: 7} // the rest of it is not the writer's to say
	for name, endpoints := range map[string]mesh.Endpoints{"dns": {DNS: full.Endpoints.DNS}, "static": {Static: full.Endpoints.Static}, "kubernetes": {Kubernetes: full.Endpoints.Kubernetes, VMs: full.Endpoints.VMs}, "machines": {VMs: full.Endpoints.VMs}} {
		t.Run(name, func(t *testing.T) {
			want := full
			want.Endpoints = endpoints
			got, _ := decodeService(wire(t, encodeService(&want), &heddlev1.Service{}))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("through Service (-want +got):\n%s", diff)
			}
			if !endpoints.Own() {
				if endpoints.VMs != nil {
					everySet(t, encodeService(&want).ProtoReflect(), "service")
				}
				return
			}
			got, _ = decodeUpstream(wire(t, encodeUpstream(&want), &heddlev1.Upstream{}))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("through Upstream (-want +got):\n%s", diff)
			}
			everySet(t, encodeUpstream(&want).ProtoReflect(), "upstream")
		})
	}
}

func TestTheSmallestServiceComesBackAsItWas(t *testing.T) {
	want := mesh.Service{Name: "a", Owner: "b", Protocol: mesh.TCP, Port: 1, Dependencies: []mesh.ServiceName{}}
	got, faults := decodeService(wire(t, encodeService(&want), &heddlev1.Service{}))
	if diff := cmp.Diff(want, got); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v, (-want +got):\n%s", faults, diff)
	}
	if m := encodeService(&want); m.GetTraffic() != nil || m.GetEndpoints() != nil {
		t.Errorf("what is not set is sent: %v", m)
	}
}

func TestMatchesByPrefixAndRegexAreCarried(t *testing.T) {
	want := mesh.RequestMatch{
		Path:    &mesh.PathMatch{Prefix: "/a"},
		Headers: []mesh.HeaderMatch{{Name: "x", Prefix: "p"}, {Name: "y", Regex: "r.*"}, {Name: "z"}},
		Query:   []mesh.QueryMatch{{Name: "x", Prefix: "p"}, {Name: "y", Regex: "r.*"}, {Name: "z"}},
	}
	if diff := cmp.Diff(want, (&decoder{}).match("", encodeMatch(&want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want.Path = &mesh.PathMatch{Regex: "/a.*"}
	if diff := cmp.Diff(want, (&decoder{}).match("", encodeMatch(&want))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryEnumValueHasItsNameInTheModel(t *testing.T) {
	check(t, protocols, heddlev1.Protocol(0).Descriptor())
	check(t, discoveries, heddlev1.DnsDiscovery(0).Descriptor())
	check(t, podDiscoveries, heddlev1.KubernetesDiscovery(0).Descriptor())
	check(t, vmAddresses, heddlev1.VmAddress(0).Descriptor())
	check(t, families, heddlev1.IpFamily(0).Descriptor())
	check(t, policies, heddlev1.Policy(0).Descriptor())
	check(t, checkTypes, heddlev1.HealthCheckType(0).Descriptor())
	check(t, enforcements, heddlev1.Enforcement(0).Descriptor())
	check(t, callerPolicies, heddlev1.CallerPolicy(0).Descriptor())
	check(t, mtlsModes, heddlev1.Mtls(0).Descriptor())
	check(t, tlsVersions, heddlev1.TlsVersion(0).Descriptor())
}

// check holds an enum's values to the model's names: POLICY_ROUND_ROBIN is roundRobin.
func check[P ~int32, M ~string](t *testing.T, e enum[P, M], descriptor protoreflect.EnumDescriptor) {
	t.Helper()
	if descriptor.Values().Len() != len(e) {
		t.Fatalf("%s has %d values, the table %d", descriptor.Name(), descriptor.Values().Len(), len(e))
	}
	plain := strings.NewReplacer("_", "", ".", "")
	for number := 1; number < len(e); number++ {
		value := string(descriptor.Values().ByNumber(protoreflect.EnumNumber(number)).Name())
		name := string(e[number])
		if !strings.HasSuffix(strings.ToLower(plain.Replace(value)), strings.ToLower(plain.Replace(name))) {
			t.Errorf("%s stands for %q", value, name)
		}
		if got := e.encode(M(name)); got != P(number) || e.decode(got) != M(name) {
			t.Errorf("%q becomes %d", name, got)
		}
	}
}

// fill sets every field to something that is not its zero value, and that the
// messages can hold.
func fill(v reflect.Value, name string) {
	switch one := v.Addr().Interface().(type) {
	case *mesh.PathMatch:
		one.Exact = "/exact" // one of three
		return
	case *mesh.HeaderMatch:
		*one = mesh.HeaderMatch{Name: "x-a", Exact: "exact", Invert: true}
		return
	case *mesh.QueryMatch:
		*one = mesh.QueryMatch{Name: "a", Exact: "exact"}
		return
	case *time.Time:
		*one = time.Unix(1, 0)
		return
	case *mesh.Protocol:
		*one = mesh.GRPC
		return
	case *mesh.DNSDiscovery:
		*one = mesh.DNSLogical
		return
	case *mesh.VMAddress:
		*one = mesh.PublicAddress
		return
	case *mesh.KubernetesDiscovery:
		*one = mesh.KubernetesDNS
		return
	case *mesh.IPFamily:
		*one = mesh.IPBoth
		return
	case *mesh.Policy:
		*one = mesh.Maglev
		return
	case *mesh.Enforcement:
		*one = mesh.Warn
		return
	case *mesh.CallerPolicy:
		*one = mesh.ApprovedCallers
		return
	case *mesh.MTLS:
		*one = mesh.Strict
		return
	case *mesh.HealthCheckType:
		*one = mesh.CheckTCP
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), name+"0")
		fill(v.Index(1), name+"1")
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"key": name}))
	case reflect.String:
		if name == "MinVersion" {
			name = "1.3"
		}
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(len(name)) + 1)
	case reflect.Float64:
		v.SetFloat(12.5)
	default:
		panic(fmt.Sprintf("%s is a %s", name, v.Kind()))
	}
}

// everySet reports fields of a message that the fully set model left out: a
// field of the API that nothing stands behind. Of a oneof, one is set.
func everySet(t *testing.T, m protoreflect.Message, path string) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := path + "." + string(field.Name())
		if strings.HasSuffix(path, ".meta") {
			return // read-only, but for the revision
		}
		if !m.Has(field) {
			if field.ContainingOneof() == nil {
				t.Errorf("%s is never set", at)
			}
			continue
		}
		switch {
		case field.IsMap() || field.Message() == nil || strings.HasPrefix(string(field.Message().FullName()), "google."):
		case field.IsList():
			everySet(t, m.Get(field).List().Get(0).Message(), at)
		default:
			everySet(t, m.Get(field).Message(), at)
		}
	}
}

// wire sends a message through its encoding.
func wire[M proto.Message](t *testing.T, from, into M) M {
	t.Helper()
	data, err := proto.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// FuzzUpstream holds that no message makes the decoder panic, that what is valid
// comes back as it was, and that every refusal fits into a status.
func FuzzUpstream(f *testing.F) {
	var full mesh.Service
	fill(reflect.ValueOf(&full).Elem(), "service")
	for _, endpoints := range []mesh.Endpoints{{DNS: full.Endpoints.DNS}, {Static: full.Endpoints.Static}} {
		full.Endpoints = endpoints
		data, err := proto.Marshal(encodeUpstream(&full))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &heddlev1.Upstream{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		service, faults := decodeUpstream(m)
		err := inspect(&upstreamView, &heddlev1.CreateUpstreamRequest{Upstream: m}, "", 0, upstreamView.faults(faults))
		if err != nil {
			if status := (&API{}).refusal(t.Context(), err, 0); status == nil {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		again, faults := decodeUpstream(encodeUpstream(&service))
		if len(faults) > 0 {
			t.Fatalf("what was valid has faults when it comes back: %v", faults)
		}
		if diff := cmp.Diff(service, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
