package install

import (
	"cmp"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/heddle-mesh/heddle/internal/kubernetes/attest"
	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/gatewayapi"
	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
)

// Proxies say what runs the proxies of a Gateway of the Gateway API.
type Proxies struct {
	gatewayapi.Gateway // the certificates are Secrets of its own namespace

	Owner               *metav1.OwnerReference // the Gateway as it is stored, with which all is deleted; nil: it is not known
	Labels, Annotations map[string]string      // spec.infrastructure

	Replicas int32
	Service  corev1.ServiceType

	Server, XDS, AttestURL string // as pods reach them; "": those of the installation
	Roots                  []byte // PEM that AttestURL is verified by
}

// httpsPort is where gateways take HTTPS.
const httpsPort = 8443

// Proxies gives the objects of a Gateway's proxies. The namespace of the options is the
// installation's.
func (o Options) Proxies(p Proxies) []runtime.Object {
	name := attest.GatewayAccount(p.Name)
	e := edge{
		objects: name, mesh: string(p.Mesh), cluster: o.Cluster, replicas: p.Replicas, kind: p.Service,
		server: cmp.Or(p.Server, o.serverURL()), xds: cmp.Or(p.XDS, o.xdsAddress()), operator: o.ownOperator(),
	}
	e.operator.url = cmp.Or(p.AttestURL, e.operator.url)
	e.operator.roots = corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
	e.served, e.flags = p.listens()
	roots := &corev1.ConfigMap{TypeMeta: kind("v1", "ConfigMap"), ObjectMeta: o.meta(name), Data: map[string]string{certificates.RootsKey: string(p.Roots)}}
	all := append([]runtime.Object{roots}, o.edge(e)...)
	for _, object := range all {
		if deployment, is := object.(*appsv1.Deployment); is {
			p.mount(&deployment.Spec.Template.Spec)
			p.mark(&deployment.Spec.Template.ObjectMeta)
			deployment.Spec.Template.Labels[inject.InjectLabel] = "false" // it is a proxy, and needs none
		}
		p.mark(object.(metav1.Object))
		object.(metav1.Object).SetNamespace(p.Namespace)
		if p.Owner != nil {
			object.(metav1.Object).SetOwnerReferences([]metav1.OwnerReference{*p.Owner})
		}
	}
	return all
}

// listens are the ports of the Service, and the flags that have the proxies take what comes
// there.
func (p Proxies) listens() (served []corev1.ServicePort, flags []string) {
	plain := 0
	if p.HTTPPort != 0 {
		plain = httpPort
		served = append(served, port("http", int32(p.HTTPPort), httpPort))
	}
	flags = append(flags, "--http-port="+strconv.Itoa(plain))
	if p.HTTPSPort == 0 {
		return served, flags
	}
	flags = append(flags, "--https-port="+strconv.Itoa(httpsPort), "--public-port="+strconv.Itoa(int(p.HTTPSPort)))
	for _, secret := range p.Certificates {
		flags = append(flags, "--tls-cert="+folderOf(secret.Name)+"/"+corev1.TLSCertKey, "--tls-key="+folderOf(secret.Name)+"/"+corev1.TLSPrivateKeyKey)
	}
	return append(served, port("https", int32(p.HTTPSPort), httpsPort)), flags
}

func folderOf(secret string) string { return heddleFolder + "/tls/" + secret }

// mount gives the pods the certificates of the listeners.
func (p Proxies) mount(pod *corev1.PodSpec) {
	if p.HTTPSPort == 0 {
		return
	}
	for i, secret := range p.Certificates {
		mounted(pod, "tls-"+strconv.Itoa(i), secret.Name, folderOf(secret.Name))
	}
}

// mark has an object say whose it is, and bear what the Gateway wants of its infrastructure;
// what it is selected by stays.
func (p Proxies) mark(object metav1.Object) {
	labels := maps.Clone(p.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, object.GetLabels())
	labels[attest.GatewayLabel] = p.Name
	object.SetLabels(labels)
	annotations := maps.Clone(p.Annotations)
	if _, is := object.(*corev1.Service); is {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[gatewayapi.MadeForAnnotation] = p.MadeFor()
	}
	object.SetAnnotations(annotations)
}
