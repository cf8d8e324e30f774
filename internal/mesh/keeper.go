package mesh

import (
	"fmt"
	"strings"
)

// Keeper names who keeps an object from outside: the one source that may change it.
// Its segments are joined by "/": kubernetes/CLUSTER keeps instances, and
// kubernetes/CLUSTER/NAMESPACE/NAME services and routes; vms/SOURCE keeps instances.
type Keeper string

// KubernetesKeeper begins the keepers that are Kubernetes clusters.
const KubernetesKeeper = "kubernetes"

// VMKeeper begins the keepers that are sources of virtual machines.
const VMKeeper = "vms"

// MostKeptInstances bounds the instances that one keeper has of one service.
const MostKeptInstances = 10_000

// maxKeeperSegments is how many segments the keeper of an object has.
const maxKeeperSegments = 4

// OfCluster is the keeper of what a Kubernetes cluster runs.
func OfCluster(cluster string) Keeper { return Keeper(KubernetesKeeper + "/" + cluster) }

// OfVMs is the keeper of the virtual machines that a source of discovery finds.
func OfVMs(source string) Keeper { return Keeper(VMKeeper + "/" + source) }

// Fault says why k can be no keeper, nor the beginning of one, or "".
func (k Keeper) Fault() string {
	segments := strings.Split(string(k), "/")
	most := map[string]int{KubernetesKeeper: maxKeeperSegments, VMKeeper: 2}[segments[0]]
	if len(segments) > most {
		return fmt.Sprintf("%s is no keeper: use kubernetes/CLUSTER or vms/SOURCE for instances, kubernetes/CLUSTER/NAMESPACE/NAME for services and routes", quote(string(k)))
	}
	for _, one := range segments[1:] {
		if fault := labelFault(one); fault != "" {
			return fmt.Sprintf("%s is no keeper: its segment %s", quote(string(k)), fault)
		}
	}
	return ""
}

// Covers says whether other is k, or below it by whole segments.
func (k Keeper) Covers(other Keeper) bool {
	rest, below := strings.CutPrefix(string(other), string(k))
	return k != "" && below && (rest == "" || rest[0] == '/')
}

// OfInstances says whether k can keep instances: it is a whole cluster, or a whole source.
func (k Keeper) OfInstances() bool { return k.Fault() == "" && strings.Count(string(k), "/") == 1 }

// OfClusters says whether k is a whole Kubernetes cluster, or all of them.
func (k Keeper) OfClusters() bool {
	return k == KubernetesKeeper || k.OfInstances() && k.Cluster() != ""
}

// OfObjects says whether k can keep services and routes: it is one object of a cluster.
func (k Keeper) OfObjects() bool {
	return k.Fault() == "" && strings.Count(string(k), "/") == maxKeeperSegments-1
}

// gatewayAPI is the last segment of keepers that [GatewayAPIKeeper] gives. What they keep has
// other names than that, and a custom resource keeps an object of its own name: so
// nobody takes one for the other.
const gatewayAPI = "gateway-api"

// GatewayAPIKeeper keeps what follows from the Gateway API's objects of a namespace.
func GatewayAPIKeeper(cluster, namespace string) Keeper {
	return OfCluster(cluster) + Keeper("/"+namespace+"/"+gatewayAPI)
}

// OfGatewayAPI says whether k keeps an object of this name for a cluster's Gateway API.
func (k Keeper) OfGatewayAPI(name string) bool {
	return k.OfObjects() && strings.HasSuffix(string(k), "/"+gatewayAPI) && name != gatewayAPI
}

// Source is the way by which what k keeps is written, for [Meta.Source].
func (k Keeper) Source() string {
	source, _, _ := strings.Cut(string(k), "/")
	return source
}

// Cluster is the Kubernetes cluster that k is of, or "".
func (k Keeper) Cluster() string { return k.second(KubernetesKeeper) }

// VMSource is the source of virtual machines that k is of, or "".
func (k Keeper) VMSource() string { return k.second(VMKeeper) }

func (k Keeper) second(first string) string {
	rest, is := strings.CutPrefix(string(k), first+"/")
	if !is {
		return ""
	}
	second, _, _ := strings.Cut(rest, "/")
	return second
}

// OfAll is the keeper of instances that k is, or is below.
func (k Keeper) OfAll() Keeper {
	if source := k.VMSource(); source != "" {
		return OfVMs(source)
	}
	return OfCluster(k.Cluster())
}

// Namespace is the namespace that k is of, as a keeper that covers all that is kept
// there, or "".
func (k Keeper) Namespace() Keeper {
	segments := strings.Split(string(k), "/")
	if len(segments) < maxKeeperSegments-1 {
		return ""
	}
	return Keeper(strings.Join(segments[:maxKeeperSegments-1], "/"))
}

// Where says in words where what k keeps is changed.
func (k Keeper) Where() string {
	if source := k.VMSource(); source != "" {
		return "by the machines that source " + source + " finds, and their tags"
	}
	segments := strings.Split(string(k), "/")
	if len(segments) < maxKeeperSegments {
		return "in Kubernetes cluster " + k.Cluster()
	}
	return fmt.Sprintf("as %s in namespace %s of Kubernetes cluster %s", segments[3], segments[2], segments[1])
}

// Kept is what became of the set of instances that a keeper has of a service.
type Kept struct {
	Written   int   `json:"written" doc:"How many are new or changed."`
	Removed   int   `json:"removed" doc:"How many the set no longer has."`
	Unchanged int   `json:"unchanged" doc:"How many were as they are."`
	Revision  int64 `json:"revision" doc:"The registry's revision that brought the latest of them; 0 when there are none and there were none."`
	Base      int64 `json:"base,omitempty" doc:"What a change of a part of the set starts from; left out where only a whole set can follow."`
}

// KeptChange is a change of a part of the set that a keeper has of a service.
type KeptChange struct {
	Base      int64        `json:"base" doc:"The base of the answer to the set, or to the change, before this one."`
	Instances []Instance   `json:"instances,omitempty" nullable:"false" doc:"Those that are new or that changed; their service may be left out."`
	Removed   []InstanceID `json:"removed,omitempty" nullable:"false" doc:"The IDs of those that the set no longer has."`
}
