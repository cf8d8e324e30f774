package registry

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A keeper is an outside source, such as a Kubernetes cluster, that alone changes
// what it has written: two sources cannot fight over one object.

// keepersOfInstances is how messages name them.
const keepersOfInstances = "kubernetes/CLUSTER or vms/SOURCE"

// mayKeep judges the keeper of a write: its form, and whether the writer may speak
// for it.
func mayKeep(w Write, is func(mesh.Keeper) bool, form string) error {
	switch {
	case w.Keeper == "" && w.By.Kind == KeeperToken:
		return mesh.Denied("the access token is limited to %s: say which keeper writes (header X-Heddle-Keeper)", w.By.limit())
	case w.Keeper == "":
		return nil
	case !is(w.Keeper):
		return mesh.Invalid("the keeper is wrong", mesh.Faults{{Path: "header.X-Heddle-Keeper", Message: quoted(string(w.Keeper)) + " does not keep this: use " + form}})
	case w.By.Admin(), w.By.Kind == KeeperToken && w.By.Keeper.Covers(w.Keeper):
		return nil
	}
	return mesh.Denied("the access token is limited to %s, and may not write as keeper %s: an admin may, and who has a token for that keeper (heddle token create --keeper)", w.By.limit(), quoted(string(w.Keeper)))
}

// keepsObject is mayKeep for a declared object.
func keepsObject[T any](k *kind[T], w Write) error {
	keepable := k.prefix == servicePrefix || k.prefix == routePrefix
	if !keepable && w.By.Kind == KeeperToken {
		return nil // its right to write says no
	}
	return mayKeep(w, func(keeper mesh.Keeper) bool { return keepable && keeper.OfObjects() }, "kubernetes/CLUSTER/NAMESPACE/NAME of a service or route")
}

// notOwnHost refuses what would have gateways call themselves by the word of a keeper's users.
func notOwnHost(service mesh.Service, w Write) error {
	if w.Keeper == "" {
		return nil
	}
	return mesh.Invalid("a keeper's service is not valid", service.OwnHostFaults())
}

// judgeKeeper makes sure that an object is changed by whoever keeps it alone, and
// that no keeper takes over what is somebody else's.
func judgeKeeper[T any](k *kind[T], before found[T], w Write) error {
	if before.object == nil || w.handover {
		return nil // what cannot be read is written by whoever may
	}
	keeper, title := k.meta(before.object).Keeper, k.noun+" "+quoted(k.name(before.object))
	switch {
	case keeper == w.Keeper:
		return nil
	case w.Keeper == "":
		return mesh.ConflictBecause(mesh.ReasonKept, "%s is kept by %s: change it there, %s; an admin takes it out of its keeper's hands with \"heddle release %s %s\"",
			title, keeper, keeper.Where(), k.noun, k.name(before.object))
	case keeper == "":
		return mesh.ConflictBecause(mesh.ReasonTaken, "%s exists already and nobody keeps it, so %s does not take it over: delete it, or have an admin hand it over with \"heddle release %s %s --to %s\"",
			title, w.Keeper, k.noun, k.name(before.object), w.Keeper)
	}
	return mesh.ConflictBecause(mesh.ReasonTaken, "%s is kept by %s already, and %s does not take it over", title, keeper, w.Keeper)
}

// keptInstance refuses to change what a keeper has.
func keptInstance(tried string, keeper mesh.Keeper) error {
	return mesh.ConflictBecause(mesh.ReasonKept, "%s: it is kept by %s, which says what there is of it: change it there, %s", tried, keeper, keeper.Where())
}

// keepsInstances says whether a keeper's token is for the instances of a service:
// it keeps the service, or the service is to have the pods of its cluster.
func keepsInstances(by Token, service *mesh.Service) bool { return has(by.Keeper, service) }

// has says whether a service is kept below a keeper, or is to have the pods of one of
// its clusters, or the machines of its source.
func has(keeper mesh.Keeper, service *mesh.Service) bool {
	if keeper.Covers(service.Meta.Keeper) {
		return true
	}
	if vms := service.Endpoints.VMs; vms != nil && slices.ContainsFunc(vms.Sources, func(source string) bool { return keeper.Covers(mesh.OfVMs(source)) }) {
		return true
	}
	kubernetes := service.Endpoints.Kubernetes
	return kubernetes != nil && slices.ContainsFunc(kubernetes.Clusters, func(cluster string) bool { return keeper.Covers(mesh.OfCluster(cluster)) })
}

// keeperTokenRight: a keeper's token makes one-use join tokens of services whose
// instances it keeps, and of the gateways and AuthZ services that it vouches for, and ends them.
func (s *Store) keeperTokenRight(ctx context.Context, by, token Token) ([]guard, error) {
	if token.Kind != JoinToken {
		return nil, mesh.Denied("the access token is limited to %s: it makes join tokens of its services, and no others", by.limit())
	}
	short := token.Uses == 1 && token.ExpiresAt.Sub(token.CreatedAt) <= DefaultJoinTTL
	if token.Service == "" {
		switch {
		case !slices.Contains(by.Vouches, token.Identity().String()) && !by.vouchesForGateway(token):
			return nil, mesh.Denied("the access token is limited to %s, and does not vouch for %s: an admin makes one that does (heddle token create --keeper %s %s)", by.limit(), token.Identity().Phrase(), by.Keeper, token.vouchFlag())
		case !short:
			return nil, notShort(by)
		}
		return nil, nil
	}
	service, err := s.Service(ctx, token.Service)
	if err != nil && mesh.KindOf(err) != mesh.KindNotFound {
		return nil, err
	}
	switch {
	case err != nil || !keepsInstances(by, &service):
		return nil, mesh.Denied("the access token is limited to %s: service %s is none of those whose instances it keeps", by.limit(), quoted(string(token.Service)))
	case !short:
		return nil, notShort(by)
	}
	return []guard{at(servicePrefix+string(token.Service), service.Meta.Revision)}, nil
}

// vouchFlag is what lets a keeper's token make join tokens such as this.
func (t Token) vouchFlag() string {
	if t.Bound != nil && t.Bound.GatewayOf != "" {
		return "--vouch-gateways"
	}
	return "--vouch " + t.Identity().String()
}

func notShort(by Token) error {
	return mesh.Denied("the access token is limited to %s: it makes join tokens for one use within %s", by.limit(), DefaultJoinTTL)
}

// mostFences bounds the services that a registration guards one by one.
const mostFences = 10

// unkept refuses a registration of what a keeper has. The guards hold that no keeper
// has come to have any of it since.
func (s *Store) unkept(ctx context.Context, list []mesh.Instance) ([]guard, error) {
	const tried = "look for who keeps what is to be registered"
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	seen := map[mesh.ServiceName]bool{}
	var fences []string
	var counts []clientv3.Op
	for i := range list {
		if service := list[i].Service; !seen[service] {
			seen[service] = true
			fences = append(fences, keptPrefix+string(service)+"/")
			counts = append(counts, clientv3.OpGet(fences[len(fences)-1], clientv3.WithPrefix(), clientv3.WithCountOnly()))
		}
	}
	answer, err := s.client.Txn(ctx).Then(counts...).Commit()
	if err != nil {
		return nil, refusal(err, tried)
	}
	revision, kept := answer.Header.Revision, false
	for _, one := range answer.Responses {
		kept = kept || one.GetResponseRange().GetCount() > 0
	}
	if kept {
		reads := make([]clientv3.Op, len(list))
		for i := range list {
			reads[i] = clientv3.OpGet(instanceKey(list[i].Key()))
		}
		if answer, err = s.client.Txn(ctx).Then(reads...).Commit(); err != nil {
			return nil, refusal(err, tried)
		}
		for _, one := range answer.Responses {
			for _, kv := range one.GetResponseRange().GetKvs() {
				found, err := instances.decode(string(kv.Key), kv.Value, kv.ModRevision)
				if err == nil && found.Meta.Keeper != "" && found.Health != mesh.Removed {
					return nil, keptInstance("register "+instances.title(found), found.Meta.Keeper)
				}
			}
		}
	}
	if len(fences) > mostFences {
		fences = []string{keptPrefix}
	}
	guards := make([]guard, len(fences))
	for i, fence := range fences {
		guards[i] = noneNewer(fence, revision)
	}
	return guards, nil
}
