package registry

import (
	"context"
	"errors"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// right judges a keeper's set: the service has to be declared, and a keeper's token
// has to be for its instances; what there is may be given up in any case.
func (k *keeping) right(ctx context.Context) ([]guard, error) {
	key := servicePrefix + string(k.service)
	switch {
	case k.over:
		return []guard{at(key, 0)}, nil
	case len(k.wanted) == 0:
		return nil, nil
	}
	service, err := k.store.Service(ctx, k.service)
	if err != nil {
		return nil, err
	}
	if by := k.write.By; by.Kind == KeeperToken && !keepsInstances(by, &service) {
		field, what := "endpoints.kubernetes.clusters", "Kubernetes cluster "+quoted(k.write.Keeper.Cluster())
		if source := k.write.Keeper.VMSource(); source != "" {
			field, what = "endpoints.vms.sources", "source "+quoted(source)
		}
		return nil, mesh.Denied("service %s is not of keeper %s, and its %s does not have %s: its declaration has to name it", quoted(string(k.service)), quoted(string(by.Keeper)), field, what)
	}
	return []guard{at(key, service.Meta.Revision)}, nil
}

// endKept ends the instances that keepers have of a service that is not declared any
// more. Once it is declared anew they are left to its keepers.
func (s *Store) endKept(ctx context.Context, service mesh.ServiceName, w Write) error {
	list, _, err := s.Instances(ctx, service)
	if err != nil {
		return err
	}
	ended := map[mesh.Keeper]bool{}
	for _, one := range list {
		keeper := one.Meta.Keeper
		if keeper == "" || ended[keeper] {
			continue
		}
		ended[keeper] = true
		w.By, w.Keeper, w.KeeperSource = Token{}, keeper, ""
		k := &keeping{store: s, service: service, write: w, tried: "end the instances that " + string(keeper) + " keeps of service " + quoted(string(service)), over: true}
		if err := k.run(ctx); err != nil && !errors.Is(err, errOvertaken) {
			return err
		}
	}
	return nil
}
