package gatewayapi

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// held is what the registry has. It is not changed.
type held struct {
	services map[mesh.ServiceName]mesh.Service // made here
	routes   map[mesh.RouteName]mesh.Route     // made here
	declared []mesh.Service                    // with pods of the cluster
}

// held is what was read, as long as there is no word of a change and nothing was written.
func (c *Controller) held(ctx context.Context) (*held, error) {
	changed := c.changed.Swap(false)
	if !changed && c.known != nil && time.Since(c.read) < again {
		return c.known, nil
	}
	c.known, c.read = nil, time.Now()
	known, err := c.list(ctx)
	c.known = known
	return known, err
}

func (c *Controller) list(ctx context.Context) (*held, error) {
	out := &held{services: map[mesh.ServiceName]mesh.Service{}, routes: map[mesh.RouteName]mesh.Route{}}
	services, err := c.Registry.Services(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range services {
		switch {
		case Made(c.Cluster, string(one.Name), one.Meta.Keeper):
			out.services[one.Name] = one.Service
		case one.Endpoints.Kubernetes.Has(c.Cluster):
			out.declared = append(out.declared, one.Service)
		}
	}
	routes, err := c.Registry.Routes(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range routes {
		if Made(c.Cluster, string(one.Name), one.Meta.Keeper) {
			out.routes[one.Name] = one
		}
	}
	return out, nil
}

// snapshot reads the cluster.
func (c *Controller) snapshot(ctx context.Context, held *held) (*Snapshot, error) {
	var classes gw.GatewayClassList
	var gateways gw.GatewayList
	var http gw.HTTPRouteList
	var grpc gw.GRPCRouteList
	var grants gw.ReferenceGrantList
	var services corev1.ServiceList
	var namespaces corev1.NamespaceList
	for _, list := range []ctrl.ObjectList{&classes, &gateways, &http, &grpc, &grants, &services, &namespaces} {
		if err := c.Client.List(ctx, list); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
	}
	s := &Snapshot{
		Cluster: c.Cluster, Classes: classes.Items, Gateways: gateways.Items, HTTPRoutes: http.Items, GRPCRoutes: grpc.Items,
		Grants: grants.Items, Services: services.Items, Declared: held.declared,
		Namespaces: map[string]map[string]string{}, Addresses: map[types.NamespacedName][]gw.GatewayStatusAddress{}, MadeFor: map[types.NamespacedName][]string{},
	}
	for _, one := range namespaces.Items {
		s.Namespaces[one.Name] = one.Labels
	}
	for i := range services.Items {
		one := &services.Items[i]
		if name := one.Labels[gw.GatewayNameLabelKey]; name != "" {
			at := types.NamespacedName{Namespace: one.Namespace, Name: name}
			s.Addresses[at] = append(s.Addresses[at], addresses(one)...)
			s.MadeFor[at] = append(s.MadeFor[at], madeFor(one)...)
		}
	}
	return s, nil
}

// addresses are where clients reach a Service.
func addresses(s *corev1.Service) []gw.GatewayStatusAddress {
	var out []gw.GatewayStatusAddress
	add := func(kind gw.AddressType, value string) {
		if value != "" && value != corev1.ClusterIPNone {
			out = append(out, gw.GatewayStatusAddress{Type: &kind, Value: value})
		}
	}
	for _, one := range s.Status.LoadBalancer.Ingress {
		add(gw.IPAddressType, one.IP)
		add(gw.HostnameAddressType, one.Hostname)
	}
	for _, one := range s.Spec.ExternalIPs {
		add(gw.IPAddressType, one)
	}
	if len(out) == 0 && s.Spec.Type != corev1.ServiceTypeLoadBalancer { // one that waits for its balancer has none yet
		add(gw.IPAddressType, s.Spec.ClusterIP)
	}
	return out
}
