package translate

import (
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// subsetConfig has Envoy keep the service's subsets apart. A request for a
// subset without instances fails instead of going to another subset; a request
// for none goes to all instances.
func subsetConfig(s *mesh.Service) *clusterv3.Cluster_LbSubsetConfig {
	if len(s.Subsets) == 0 {
		return nil
	}
	out := &clusterv3.Cluster_LbSubsetConfig{
		FallbackPolicy:      clusterv3.Cluster_LbSubsetConfig_ANY_ENDPOINT,
		LocalityWeightAware: len(s.Traffic.LoadBalancing.LocalityWeights) > 0,
		ScaleLocalityWeight: len(s.Traffic.LoadBalancing.LocalityWeights) > 0,
	}
	var selectors [][]string
	for _, subset := range s.Subsets {
		selectors = append(selectors, slices.Sorted(maps.Keys(subset.Labels)))
	}
	slices.SortFunc(selectors, slices.Compare)
	for _, keys := range slices.CompactFunc(selectors, slices.Equal) {
		out.SubsetSelectors = append(out.SubsetSelectors, &clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector{
			Keys:           keys,
			FallbackPolicy: clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_NO_FALLBACK,
		})
	}
	return out
}

// onlySubset has every request go to one subset. A mirrored request carries the
// subset that the original was for, so the one selector, without which Envoy
// would keep no subsets, asks for a label that none can have.
func onlySubset(s *mesh.Service, name string) *clusterv3.Cluster_LbSubsetConfig {
	out := subsetConfig(s)
	out.FallbackPolicy = clusterv3.Cluster_LbSubsetConfig_DEFAULT_SUBSET
	out.DefaultSubset = subsetLabels(s, name)
	out.SubsetSelectors = []*clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector{{Keys: []string{"not a label"}}}
	return out
}

func subsetLabels(s *mesh.Service, name string) *structpb.Struct {
	fields := map[string]*structpb.Value{}
	for _, subset := range s.Subsets {
		if subset.Name != name {
			continue
		}
		for key, value := range subset.Labels {
			fields[key] = structpb.NewStringValue(value)
		}
	}
	return &structpb.Struct{Fields: fields}
}
