package translate

import (
	"cmp"
	"math"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Endpoints makes the one EDS resource of a service, which all scopes share; no
// resource for a service that is not declared or whose instances are not
// registered one by one. A service without instances has a resource without
// endpoints.
func Endpoints(v *catalog.View, service mesh.ServiceName) []Resource {
	s, declared := v.Service(service)
	if !declared || !s.Endpoints.Registered() {
		return nil
	}
	instances := v.Reachable(service)
	return []Resource{{
		Type: TypeEndpoint, Name: string(service), Origin: originOfEndpoints(s, instances),
		Message: &endpointv3.ClusterLoadAssignment{
			ClusterName: string(service),
			Endpoints:   localities(s, instances),
		},
	}}
}

func originOfEndpoints(s *mesh.Service, instances []*mesh.Instance) Origin {
	var last *mesh.Instance
	newest := s.Meta.Revision
	for _, one := range instances {
		if one.Meta.Revision > newest {
			last, newest = one, one.Meta.Revision
		}
	}
	if last == nil {
		return originOf(s)
	}
	return Origin{Object: "instance/" + last.Key().String(), Author: last.Meta.Author, Revision: newest}
}

// localities groups instances by where they run, sorted.
func localities(s *mesh.Service, instances []*mesh.Instance) []*endpointv3.LocalityLbEndpoints {
	labels := labelSets{made: map[string]*corev3.Metadata{}}
	groups := map[mesh.Locality]*endpointv3.LocalityLbEndpoints{}
	var order []mesh.Locality
	for _, one := range instances {
		group := groups[one.Locality]
		if group == nil {
			// gRPC libraries refuse endpoints without a locality, even an empty one.
			group = &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Region: one.Locality.Region, Zone: one.Locality.Zone}}
			groups[one.Locality] = group
			order = append(order, one.Locality)
		}
		group.LbEndpoints = append(group.LbEndpoints, endpoint(one, &labels))
	}
	slices.SortFunc(order, func(a, b mesh.Locality) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone))
	})
	out := make([]*endpointv3.LocalityLbEndpoints, len(order))
	for i, locality := range order {
		out[i] = groups[locality]
	}
	weighLocalities(s.Traffic.LoadBalancing.LocalityWeights, order, out)
	return out
}

func endpoint(i *mesh.Instance, labels *labelSets) *endpointv3.LbEndpoint {
	out := &endpointv3.LbEndpoint{
		HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(i.Address, i.Port)}},
		LoadBalancingWeight: count(i.Weight),
		Metadata:            labels.metadata(i.Labels, i.MTLS),
	}
	switch i.Health {
	case mesh.Draining:
		out.HealthStatus = corev3.HealthStatus_DRAINING
	case mesh.Unhealthy:
		out.HealthStatus = corev3.HealthStatus_UNHEALTHY
	}
	return out
}

// labelSets makes what Envoy's subsets go by, and what it chooses TLS by: all
// labels, whatever subsets there are now. Envoys that have not yet heard that a subset is gone still choose by
// its labels, and would find nobody if the endpoints came without them.
type labelSets struct {
	// Instances with the same labels share a message, for there are a few versions
	// and thousands of instances.
	made map[string]*corev3.Metadata
	keys []string // space for the keys of one instance
	all  []byte   // space for its labels
}

func (l *labelSets) metadata(labels map[string]string, mtls bool) *corev3.Metadata {
	if len(labels) == 0 && !mtls {
		return nil
	}
	l.keys, l.all = l.keys[:0], l.all[:0]
	if mtls {
		l.all = append(l.all, 0) // no label begins so
	}
	for key := range labels {
		l.keys = append(l.keys, key)
	}
	slices.Sort(l.keys)
	for _, key := range l.keys {
		l.all = append(append(append(append(l.all, key...), 0), labels[key]...), 0) // no label has a zero byte
	}
	if m := l.made[string(l.all)]; m != nil {
		return m
	}
	fields := map[string]*structpb.Value{}
	for key, value := range labels {
		fields[key] = structpb.NewStringValue(value)
	}
	m := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	if len(fields) > 0 {
		m.FilterMetadata["envoy.lb"] = &structpb.Struct{Fields: fields}
	}
	if mtls {
		m.FilterMetadata[socketMatch] = &structpb.Struct{Fields: map[string]*structpb.Value{takesMTLS: structpb.NewBoolValue(true)}}
	}
	l.made[string(l.all)] = m
	return m
}

// weighLocalities sets the weights of localities, if the service has any. A
// locality of weight 0 is left without one: Envoy sends it nothing then.
func weighLocalities(weights []mesh.LocalityWeight, order []mesh.Locality, groups []*endpointv3.LocalityLbEndpoints) {
	if len(weights) == 0 {
		evenLocalities(groups)
		return
	}
	total := uint64(0)
	for _, locality := range order {
		total += localityWeight(weights, locality)
	}
	divisor := total/math.MaxUint32 + 1 // Envoy refuses a sum of more than 32 bits
	for i, locality := range order {
		if weight := localityWeight(weights, locality); weight > 0 {
			groups[i].LoadBalancingWeight = wrapperspb.UInt32(uint32(max(weight/divisor, 1)))
		}
	}
}

// evenLocalities gives each locality the weight of what is in it. Envoys do not
// look at it then; gRPC libraries pick a locality before an endpoint, and leave
// out those without a weight.
func evenLocalities(groups []*endpointv3.LocalityLbEndpoints) {
	sums := make([]uint64, len(groups))
	total := uint64(0)
	for i, group := range groups {
		for _, one := range group.LbEndpoints {
			if one.HealthStatus == corev3.HealthStatus_UNKNOWN {
				sums[i] += uint64(max(one.LoadBalancingWeight.GetValue(), 1))
			}
		}
		total += sums[i]
	}
	divisor := total/math.MaxUint32 + 1
	for i, sum := range sums {
		groups[i].LoadBalancingWeight = wrapperspb.UInt32(uint32(max(sum/divisor, 1)))
	}
}

// localityWeight goes by the most exact entry: one that names region and zone,
// else the first that names one of them.
func localityWeight(weights []mesh.LocalityWeight, at mesh.Locality) uint64 {
	found := -1
	for i, w := range weights {
		if w.Region != "" && w.Region != at.Region || w.Zone != "" && w.Zone != at.Zone {
			continue
		}
		if w.Region != "" && w.Zone != "" {
			return uint64(max(w.Weight, 0))
		}
		if found < 0 {
			found = i
		}
	}
	if found < 0 {
		return 1
	}
	return uint64(max(weights[found].Weight, 0))
}
