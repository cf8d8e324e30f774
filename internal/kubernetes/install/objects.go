package install

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-mesh/heddle/internal/kubernetes/certificates"
	"github.com/heddle-mesh/heddle/internal/kubernetes/crd"
	"github.com/heddle-mesh/heddle/internal/kubernetes/webhook"
)

// Component is some objects that belong together: a file of each kind of manifest.
type Component struct {
	Name    string
	Objects []runtime.Object
}

// Objects gives what an installation consists of, in the order to apply it in.
func Objects(o Options) []Component {
	o = o.withDefaults()
	all := []Component{
		{definitions, customResources()},
		{"namespace", []runtime.Object{o.namespace()}},
		{"network", []runtime.Object{o.nothingElse()}},
		{"server", o.server()},
		{"operator", append(o.operator(), o.operatorRights()...)},
		{"policy", policy()},
	}
	if !o.NoInjector {
		all = append(all, Component{"webhook", []runtime.Object{webhook.Configuration(certificates.DefaultConfiguration, o.Namespace, Operator, o.FailurePolicy)}})
	}
	if o.Authz {
		all = append(all, Component{"authz", o.authz()})
	}
	if o.Gateway {
		all = append(all, Component{"gateway", o.gateway()})
	}
	return all
}

// definitions is the component of the custom resources' definitions.
const definitions = "crds"

func customResources() (all []runtime.Object) {
	for _, one := range crd.All() {
		all = append(all, &one)
	}
	return all
}

// namespace admits only pods that ask for no rights, as all of ours do.
func (o Options) namespace() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: kind("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{
		Name: o.Namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"},
	}}
}

func kind(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}

func (o Options) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: o.Namespace, Labels: labels(name)}
}

// ours selects the pods of all components.
var ours = metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/part-of": "heddle"}}

func labels(name string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "heddle"}
}

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": name}}
}

// service names a component inside the cluster, or outside by a load balancer.
func (o Options) service(name string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		TypeMeta: kind("v1", "Service"), ObjectMeta: o.meta(name),
		Spec: corev1.ServiceSpec{Selector: selector(name).MatchLabels, Ports: ports},
	}
}

func port(name string, number, target int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, TargetPort: intstr.FromInt32(target), Protocol: corev1.ProtocolTCP}
}

// deployment runs a component's pods, which are spread over zones and hosts.
func (o Options) deployment(name string, replicas int32, pod corev1.PodSpec) *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: o.meta(name),
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector(name), Template: podTemplate(name, pod)},
	}
}

// user is whom the components run as: nobody's account on any host.
const user int64 = 65532

func podTemplate(name string, pod corev1.PodSpec) corev1.PodTemplateSpec {
	for _, over := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
		pod.TopologySpreadConstraints = append(pod.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: over, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector(name),
		})
	}
	pod.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(user), RunAsGroup: new(user), FSGroup: new(user),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels(name)}, Spec: pod}
}

// disruption keeps one of several replicas when hosts are drained.
func (o Options) disruption(name string) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta: kind("policy/v1", "PodDisruptionBudget"), ObjectMeta: o.meta(name),
		Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: selector(name)},
	}
}
