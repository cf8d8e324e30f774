package gatewayapi

import (
	"context"
	"crypto/tls"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// held is what the registry has.
type held struct {
	services map[mesh.ServiceName]mesh.Service // made here
	routes   map[mesh.RouteName]mesh.Route     // made here
	declared []mesh.Service                    // with pods of the cluster
}

func (c *Controller) held(ctx context.Context) (*held, error) {
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
		Namespaces: map[string]map[string]string{}, Secrets: map[types.NamespacedName]string{}, Addresses: map[types.NamespacedName][]gw.GatewayStatusAddress{},
	}
	for _, one := range namespaces.Items {
		s.Namespaces[one.Name] = one.Labels
	}
	for i := range services.Items {
		one := &services.Items[i]
		if name := one.Labels[gw.GatewayNameLabelKey]; name != "" {
			at := types.NamespacedName{Namespace: one.Namespace, Name: name}
			s.Addresses[at] = append(s.Addresses[at], addresses(one)...)
		}
	}
	return s, c.secrets(ctx, s)
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
	if len(out) == 0 && s.Spec.Type == corev1.ServiceTypeClusterIP {
		add(gw.IPAddressType, s.Spec.ClusterIP)
	}
	return out
}

// secrets reads those that our Gateways name. What is in them is looked at and forgotten.
func (c *Controller) secrets(ctx context.Context, s *Snapshot) error {
	for i := range s.Gateways {
		for _, l := range s.Gateways[i].Spec.Listeners {
			if l.TLS == nil {
				continue
			}
			for _, ref := range l.TLS.CertificateRefs {
				at := types.NamespacedName{Namespace: s.Gateways[i].Namespace, Name: string(ref.Name)}
				if ref.Namespace != nil {
					at.Namespace = string(*ref.Namespace)
				}
				var secret corev1.Secret
				err := c.Live.Get(ctx, at, &secret)
				switch {
				case apierrors.IsNotFound(err):
				case apierrors.IsForbidden(err):
					s.Secrets[at] = fmt.Sprintf("the operator may not read it: bind it to the ClusterRole heddle-gateway-secrets in namespace %s", at.Namespace)
				case err != nil:
					return fmt.Errorf("read Secret %s: %w", at, err)
				default:
					s.Secrets[at] = certificateFault(&secret)
				}
			}
		}
	}
	return nil
}

func certificateFault(s *corev1.Secret) string {
	if s.Type != corev1.SecretTypeTLS {
		return fmt.Sprintf("its type is %s, and not %s", s.Type, corev1.SecretTypeTLS)
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return "its tls.crt and tls.key are no certificate and its key"
	}
	return ""
}
