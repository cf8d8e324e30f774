package gatewayapi_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
)

// edges run an Envoy for each Gateway, on an address of its own, and say the address
// with a Service.
type edges struct {
	t         *testing.T
	client    client.Client
	heddle    string
	flags     []string // of each
	folder    string
	last      int
	addresses map[types.UID]string
	running   map[types.UID]*edge
}

type edge struct {
	*process

	arguments []string
}

func runEdges(t *testing.T, c client.Client, heddle string, flags ...string) {
	t.Helper()
	e := &edges{t: t, client: c, heddle: heddle, flags: flags, folder: t.TempDir(), addresses: map[types.UID]string{}, running: map[types.UID]*edge{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); every(ctx, 200*time.Millisecond, func() { e.look(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, one := range e.running {
			one.end()
		}
	})
}

func (e *edges) look(ctx context.Context) {
	var all gw.GatewayList
	if err := e.client.List(ctx, &all); err != nil {
		return // looked at again
	}
	there := map[types.UID]bool{}
	for i := range all.Items {
		g := &all.Items[i]
		if g.Spec.GatewayClassName != className || g.DeletionTimestamp != nil {
			continue
		}
		there[g.UID] = true
		if err := e.serve(ctx, g); err != nil && ctx.Err() == nil {
			e.t.Logf("gateway %s/%s: %v", g.Namespace, g.Name, err)
		}
	}
	for uid, one := range e.running {
		if !there[uid] {
			one.end()
			delete(e.running, uid)
		}
	}
}

// serve runs what a Gateway's listeners ask for, anew when they ask for something else.
func (e *edges) serve(ctx context.Context, g *gw.Gateway) error {
	address := e.addresses[g.UID]
	if address == "" {
		e.last++
		address = fmt.Sprintf("10.78.0.%d", e.last)
		if err := ip("addr add " + address + "/32 dev lo"); err != nil {
			return err
		}
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: g.Namespace, Name: g.Name + "-edge", Labels: map[string]string{gw.GatewayNameLabelKey: g.Name},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: gw.GroupVersion.String(), Kind: "Gateway", Name: g.Name, UID: g.UID}},
			},
			Spec: corev1.ServiceSpec{ExternalIPs: []string{address}, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		if err := e.client.Create(ctx, service); err != nil {
			return err
		}
		e.addresses[g.UID] = address
	}
	arguments := e.arguments(ctx, g, address)
	if now := e.running[g.UID]; now != nil {
		select {
		case <-now.ended: // started again, as a kubelet does
			said, _ := os.ReadFile(now.log)
			e.t.Logf("gateway %s/%s ended: %s", g.Namespace, g.Name, said)
		default:
			if slices.Equal(now.arguments, arguments) {
				return nil
			}
			now.end()
		}
	}
	p, err := run(filepath.Join(e.folder, g.Namespace+"-"+g.Name+"-"+fmt.Sprint(time.Now().UnixMilli())+".log"), nil, 0, append([]string{e.heddle}, arguments...)...)
	if err != nil {
		return err
	}
	e.running[g.UID] = &edge{p, arguments}
	return nil
}

func (e *edges) arguments(ctx context.Context, g *gw.Gateway, address string) []string {
	at := types.NamespacedName{Namespace: g.Namespace, Name: g.Name}
	out := slices.Concat([]string{"proxy", "--gateway", string(gatewayapi.GatewayName(cluster, at)), "--instance", "edge", "--listen-address", address,
		"--drain-timeout", "0s", "--drain-delay", "0s"}, e.flags)
	http, https := false, false
	for _, l := range g.Spec.Listeners {
		switch l.Protocol {
		case gw.HTTPProtocolType:
			if !http {
				out = append(out, "--http-port", fmt.Sprint(l.Port))
			}
			http = true
		case gw.HTTPSProtocolType:
			if l.TLS == nil {
				continue
			}
			for _, ref := range l.TLS.CertificateRefs {
				certificate, key, err := e.certificate(ctx, g, ref)
				if err != nil || slices.Contains(out, certificate) {
					continue
				}
				out = append(out, "--tls-cert", certificate, "--tls-key", key)
				if !https {
					out = append(out, "--https-port", fmt.Sprint(l.Port))
				}
				https = true
			}
		}
	}
	if !http {
		out = append(out, "--http-port", "0")
	}
	return out
}

// certificate writes the files of a Secret.
func (e *edges) certificate(ctx context.Context, g *gw.Gateway, ref gw.SecretObjectReference) (certificate, key string, err error) {
	at := types.NamespacedName{Namespace: g.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		at.Namespace = string(*ref.Namespace)
	}
	var secret corev1.Secret
	if err := e.client.Get(ctx, at, &secret); err != nil {
		return "", "", err
	}
	base := filepath.Join(e.folder, at.Namespace+"-"+at.Name+"-"+secret.ResourceVersion)
	certificate, key = base+".crt", base+".key"
	if err := os.WriteFile(certificate, secret.Data[corev1.TLSCertKey], 0o600); err != nil {
		return "", "", err
	}
	return certificate, key, os.WriteFile(key, secret.Data[corev1.TLSPrivateKeyKey], 0o600)
}
