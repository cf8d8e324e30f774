package gatewayproxies

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgo "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
)

// inCluster reads a Gateway and its class with the rights of whoever asks, and of the
// installation what is not said.
func inCluster(ctx context.Context, c *Config) (*found, []string, error) {
	if c.Name == "" {
		return nil, nil, fmt.Errorf("the name of the Gateway is missing")
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	deferred := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	config, err := deferred.ClientConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("read the kubeconfig: %w; name one with --kubeconfig, or the Gateway's manifest with -f", err)
	}
	namespace, _, err := deferred.Namespace()
	if err != nil {
		return nil, nil, err
	}
	scheme := runtime.NewScheme()
	if err := gw.Install(scheme); err != nil {
		return nil, nil, err
	}
	if err := clientgo.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	api, err := ctrl.New(config, ctrl.Options{Scheme: scheme})
	if err != nil {
		return nil, nil, err
	}
	g, err := stored(ctx, api, types.NamespacedName{Namespace: cmp.Or(c.Namespace, namespace), Name: c.Name})
	if err != nil {
		return nil, nil, err
	}
	if err := c.ask(ctx, api); err != nil {
		return nil, nil, err
	}
	return g, missingSecrets(ctx, api, g), nil
}

func stored(ctx context.Context, api ctrl.Reader, at types.NamespacedName) (*found, error) {
	g := &found{stored: true, class: &gw.GatewayClass{}}
	err := api.Get(ctx, at, &g.Gateway)
	switch {
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("the cluster does not have the Gateway API (v1.5 or newer)")
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no Gateway %s: apply it first, or name its manifest with -f", at)
	case err != nil:
		return nil, fmt.Errorf("read Gateway %s: %w", at, err)
	}
	class := string(g.Spec.GatewayClassName)
	if err := api.Get(ctx, types.NamespacedName{Name: class}, g.class); apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("gateway %s: there is no GatewayClass %q", at, class)
	} else if err != nil {
		return nil, fmt.Errorf("read GatewayClass %q of Gateway %s: %w", class, at, err)
	}
	return g, nil
}

// ask reads what is not said from the operator's Deployment, and the roots of its certificate
// from where the API server finds them. Who may not read these says all by flags.
func (i *Installation) ask(ctx context.Context, api ctrl.Reader) error {
	if i.Cluster == "" || i.Image == "" {
		var operator appsv1.Deployment
		at := types.NamespacedName{Namespace: i.Namespace, Name: install.Operator}
		if err := api.Get(ctx, at, &operator); err != nil {
			return fmt.Errorf("read Deployment %s for what is not said by --cluster and --image (where is Heddle installed: --heddle-namespace): %w", at, err)
		}
		i.learn(&operator)
	}
	if len(i.Roots) > 0 {
		return nil
	}
	var webhooks admissionregistrationv1.MutatingWebhookConfiguration
	const name = "heddle"
	if err := api.Get(ctx, types.NamespacedName{Name: name}, &webhooks); err != nil {
		return fmt.Errorf("read what the operator's certificate is verified by, which --operator-ca does not say: %w", err)
	}
	for _, one := range webhooks.Webhooks {
		if i.Roots = one.ClientConfig.CABundle; len(i.Roots) > 0 {
			return nil
		}
	}
	return fmt.Errorf("MutatingWebhookConfiguration %s has no roots of the operator's certificate yet: does the operator run?", name)
}

// learn takes from the operator what is not said.
func (i *Installation) learn(operator *appsv1.Deployment) {
	if len(operator.Spec.Template.Spec.Containers) == 0 {
		return
	}
	container := operator.Spec.Template.Spec.Containers[0]
	said := func(flag string) (value string) {
		for _, one := range container.Args {
			if of, is := strings.CutPrefix(one, flag+"="); is && value == "" {
				value = of
			}
		}
		return value
	}
	cluster, _, _ := strings.Cut(said("--cluster"), "=")
	i.Cluster = cmp.Or(i.Cluster, cluster)
	i.Image = cmp.Or(i.Image, said("--image"), container.Image)
	i.Server = cmp.Or(i.Server, said("--pod-server"), said("--server"))
	i.XDS = cmp.Or(i.XDS, said("--pod-xds"))
	i.AttestURL = cmp.Or(i.AttestURL, said("--attest-url"))
}

// missingSecrets says which Secrets of listeners are not there yet, as far as whoever asks may
// know.
func missingSecrets(ctx context.Context, api ctrl.Reader, g *found) (notes []string) {
	told := map[gw.ObjectName]bool{}
	for _, l := range g.Spec.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, ref := range l.TLS.CertificateRefs {
			head := metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
			err := api.Get(ctx, types.NamespacedName{Namespace: g.Namespace, Name: string(ref.Name)}, &head)
			if apierrors.IsNotFound(err) && !told[ref.Name] {
				told[ref.Name] = true
				notes = append(notes, fmt.Sprintf("Secret %s/%s of listener %q is not there: the pods wait for it", g.Namespace, ref.Name, l.Name))
			}
		}
	}
	return notes
}
