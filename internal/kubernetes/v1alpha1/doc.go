// Package v1alpha1 has Heddle's custom resources as Go types: [MeshService],
// [Upstream] and [MeshRoute]. Their specs are the model's own types without name and
// meta, and are kept as they came: [Declared.Service] and [Declared.Route] read
// them with the model's strict decoder, so that one object that cannot be read
// does not keep the others from being read.
package v1alpha1
