package mesh

import "strings"

// KeeperSource is the note of which source a keeper belongs to: two sources that take one
// name would have each other's objects withdrawn, and one that has two names would have
// each of its objects twice.
type KeeperSource struct {
	Source  string `json:"source" doc:"What tells the source from any other, for as long as it lives: of a Kubernetes cluster the uid of its namespace kube-system." example:"8f14e45f-ceea-467f-a2b1-3c1b6d1f9a10"`
	Instead string `json:"instead,omitempty" doc:"The source in whose place it comes, which has gone for good. Left out, a keeper that is another source's is refused." example:"2b6f0cc9-04d5-4f3a-9a4d-7f2b6a1f7b0e"`
	Renamed string `json:"renamed,omitempty" doc:"The name in the mesh that the source had until now, and has no longer. Left out, a source that has another name is refused." example:"prod-old"`
}

const maxSource = 128 // bytes

// Validate says what is wrong with it.
func (k *KeeperSource) Validate() Faults {
	var faults Faults
	wrong := func(s string) bool {
		return len(s) > maxSource || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	}
	if k.Source == "" || wrong(k.Source) {
		faults.Add("source", "wants 1 to %d characters of printable ASCII without spaces", maxSource)
	}
	if wrong(k.Instead) {
		faults.Add("instead", "wants up to %d characters of printable ASCII without spaces", maxSource)
	}
	if k.Renamed != "" && !OfCluster(k.Renamed).OfInstances() {
		faults.Add("renamed", "wants the former name of the cluster, a DNS label such as prod")
	}
	return faults
}
