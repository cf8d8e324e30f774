package gatewayapi

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"
)

// Served gives what says of a cluster whether a Gateway is there whose class is ours. It asks
// the API server each time.
func Served(config *rest.Config) (func(ctx context.Context, namespace, name string) (bool, error), error) {
	scheme := runtime.NewScheme()
	if err := gw.Install(scheme); err != nil {
		return nil, err
	}
	api, err := ctrl.New(config, ctrl.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, namespace, name string) (bool, error) {
		var g gw.Gateway
		var class gw.GatewayClass
		err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &g)
		if err == nil {
			err = api.Get(ctx, types.NamespacedName{Name: string(g.Spec.GatewayClassName)}, &class)
		}
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) { // or the Gateway API is not installed
			return false, nil
		}
		s := Snapshot{Classes: []gw.GatewayClass{class}, Gateways: []gw.Gateway{g}}
		return len(s.ours()) == 1, err
	}, nil
}
