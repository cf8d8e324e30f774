package gatewayproxies

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gw "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config says which Gateway, and what its proxies are to be like.
type Config struct {
	Name, Namespace string // of the Gateway; "": the only one of the file, and the kubeconfig's
	File            []byte // manifests that have it; nil: the cluster is asked
	Kubeconfig      string // "": the default one; not with File

	Replicas int32
	Service  string // the type

	Installation
}

// Installation is what pods are told of the Heddle that they join. What is left out is read
// from the cluster, or is as "heddle operator install" has it.
type Installation struct {
	Namespace string // where it is installed
	Cluster   string // its name in the mesh
	Image     string
	Server    string // URL
	XDS       string // HOST:PORT
	AttestURL string
	Roots     []byte // PEM that AttestURL is verified by
}

// found is a Gateway, and its class if that is known.
type found struct {
	gw.Gateway

	class  *gw.GatewayClass
	stored bool // it is one of a cluster, and has a uid
}

// Manifests gives the objects of a Gateway's proxies as YAML, and what else there is to be
// said to whoever asked.
func Manifests(ctx context.Context, c Config) (text []byte, notes []string, err error) {
	var g *found
	if c.File != nil {
		g, err = inFile(c)
	} else {
		g, notes, err = inCluster(ctx, &c)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := c.complete(); err != nil {
		return nil, nil, err
	}
	plan, more, err := judge(g, c.Cluster)
	if err != nil {
		return nil, nil, err
	}
	notes = append(notes, more...)
	options := install.Options{Namespace: c.Installation.Namespace, Cluster: c.Cluster, Image: c.Image, Operators: 1}
	if err := options.Validate(); err != nil {
		return nil, nil, err
	}
	proxies := install.Proxies{
		Gateway: plan, Replicas: c.Replicas, Service: corev1.ServiceType(c.Service),
		Server: c.Server, XDS: c.XDS, AttestURL: c.AttestURL, Roots: c.Roots,
	}
	if wants := g.Spec.Infrastructure; wants != nil {
		proxies.Labels, proxies.Annotations = map[string]string{}, map[string]string{}
		for key, value := range wants.Labels {
			proxies.Labels[string(key)] = string(value)
		}
		for key, value := range wants.Annotations {
			proxies.Annotations[string(key)] = string(value)
		}
	}
	if g.stored {
		proxies.Owner = &metav1.OwnerReference{APIVersion: gw.GroupVersion.String(), Kind: "Gateway", Name: g.Name, UID: g.UID}
	}
	text, err = install.YAML(options.Proxies(proxies))
	return text, notes, err
}

// complete says what is missing or wrong.
func (i *Installation) complete() error {
	switch {
	case i.Cluster == "":
		return errors.New("--cluster is missing: the name that this cluster has in the mesh")
	case mesh.OfCluster(i.Cluster).Fault() != "":
		return fmt.Errorf("--cluster %q: its name in the mesh has to be a DNS label such as \"prod\"", i.Cluster)
	case i.Image == "":
		return errors.New("--image is missing: what the proxies run, built with deploy/Dockerfile")
	case len(i.Roots) == 0:
		return errors.New("--operator-ca is missing: a file with what the operator's certificate is verified by. Who may read it gets it by:\n" + rootsCommand)
	case !x509.NewCertPool().AppendCertsFromPEM(i.Roots):
		return errors.New("--operator-ca: the file holds no certificates in PEM. Who may read them gets them by:\n" + rootsCommand)
	}
	return nil
}

const rootsCommand = `  kubectl get mutatingwebhookconfiguration heddle -o jsonpath='{.webhooks[0].clientConfig.caBundle}' | base64 -d > operator-ca.crt`

// judge says what the proxies of a Gateway have to serve, by the words of the operator. It is
// said what they do not.
func judge(g *found, cluster string) (plan gatewayapi.Gateway, notes []string, err error) {
	name := g.Namespace + "/" + g.Name
	switch {
	case len(g.Name) > 63:
		return plan, nil, fmt.Errorf("gateway %s: its name has %d characters, and the label by which its Service is found has 63 at most: give it a shorter one", name, len(g.Name))
	case !g.DeletionTimestamp.IsZero():
		return plan, nil, fmt.Errorf("gateway %s is being deleted", name)
	case g.class == nil:
		notes = append(notes, fmt.Sprintf("whether GatewayClass %q has the controller %s is not looked at: it is not in the file", g.Spec.GatewayClassName, gatewayapi.ControllerName))
	case g.class.Spec.ControllerName != gatewayapi.ControllerName:
		return plan, nil, fmt.Errorf("gateway %s: its GatewayClass %q is of the controller %s, and not of %s: its proxies are not ours", name, g.class.Name, g.class.Spec.ControllerName, gatewayapi.ControllerName)
	}
	if err := ownSecrets(g); err != nil {
		return plan, nil, err
	}
	result := gatewayapi.Translate(gatewayapi.OfGateway(cluster, g.Gateway))
	status := result.Statuses.Gateways[types.NamespacedName{Namespace: g.Namespace, Name: g.Name}]
	for _, one := range status.Conditions {
		if one.Type == string(gw.GatewayConditionAccepted) && one.Status != metav1.ConditionTrue && one.Reason != string(gw.GatewayReasonListenersNotValid) {
			return plan, nil, fmt.Errorf("gateway %s: %s", name, one.Message)
		}
	}
	var wrong []string
	for _, listener := range status.Listeners {
		if why := unserved(listener); why != "" {
			wrong = append(wrong, fmt.Sprintf("listener %q is not served: %s", listener.Name, why))
		}
	}
	if len(result.Gateways) == 0 {
		return plan, nil, fmt.Errorf("gateway %s has no listener that can be served:\n  %s", name, strings.Join(wrong, "\n  "))
	}
	return result.Gateways[0], append(notes, wrong...), nil
}

// ownSecrets refuses certificates that no pod of the Gateway's namespace can have.
func ownSecrets(g *found) error {
	for _, l := range g.Spec.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, ref := range l.TLS.CertificateRefs {
			if ref.Namespace != nil && string(*ref.Namespace) != g.Namespace {
				return fmt.Errorf("gateway %s/%s, listener %q: Secret %s/%s is of another namespace, and pods mount Secrets of their own alone: copy it to namespace %s, and name it there", g.Namespace, g.Name, l.Name, *ref.Namespace, ref.Name, g.Namespace)
			}
		}
	}
	return nil
}

// unserved is why a listener is not served; "": it is.
func unserved(l gw.ListenerStatus) string {
	for _, one := range l.Conditions {
		is := one.Status == metav1.ConditionTrue
		switch gw.ListenerConditionType(one.Type) {
		case gw.ListenerConditionAccepted, gw.ListenerConditionResolvedRefs:
			if !is {
				return one.Message
			}
		case gw.ListenerConditionConflicted:
			if is {
				return one.Message
			}
		}
	}
	return ""
}
