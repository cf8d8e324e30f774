package install

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// gatewayDrain is how long a gateway's requests may go on at its end; its pod gets
// gatewayGrace, which is more, for what comes before and after.
const (
	gatewayDrain = 30 * time.Second
	gatewayGrace = 60 * time.Second
)

// edge is a gateway of the mesh: Envoys behind a Service.
type edge struct {
	objects  string // the name of them all
	mesh     string // what routes call it
	cluster  string
	served   []corev1.ServicePort
	flags    []string // of heddle proxy, about what it serves
	server   string   // URL
	xds      string   // HOST:PORT
	replicas int32
	kind     corev1.ServiceType
	operator attestor
}

// gateway is an Envoy at the edge, called edge in routes.
func (o Options) gateway() []runtime.Object {
	return o.edge(edge{
		objects: Gateway, mesh: gatewayName, cluster: o.Cluster, replicas: 2, kind: corev1.ServiceTypeLoadBalancer,
		served: []corev1.ServicePort{port("http", 80, httpPort)}, flags: []string{"--http-port=" + strconv.Itoa(httpPort)},
		server: o.serverURL(), xds: o.xdsAddress(), operator: o.ownOperator(),
	})
}

// edge gives the objects of a gateway; its service account comes first.
func (o Options) edge(e edge) []runtime.Object {
	args := append([]string{"proxy", "--gateway=" + e.mesh, "--instance=$(POD_NAME).$(POD_NAMESPACE)." + e.cluster}, e.flags...)
	args = append(args,
		"--server="+e.server, "--xds="+e.xds,
		"--identity-dir=/var/lib/heddle", "--status-port="+strconv.Itoa(int(statusPort)), "--drain-timeout="+gatewayDrain.String(),
	)
	pod := corev1.PodSpec{AutomountServiceAccountToken: new(false), Volumes: []corev1.Volume{tmp(), memory("identity")}}
	pod.Containers = []corev1.Container{o.container("gateway", o.Image, "1Gi", []string{"heddle"}, args)}
	container := &pod.Containers[0]
	container.Env = []corev1.EnvVar{fieldVariable("POD_NAME", "metadata.name"), fieldVariable("POD_NAMESPACE", "metadata.namespace")}
	container.Ports = append(ports(e.served...), ports(port("status", statusPort, statusPort))...)
	// Envoy is started again by heddle proxy: the pod is only when that has ended or hangs.
	container.ReadinessProbe = probe("/ready", statusPort, corev1.URISchemeHTTP)
	container.LivenessProbe = probeTCP(statusPort)
	pod.TerminationGracePeriodSeconds = new(int64(gatewayGrace / time.Second))
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "identity", MountPath: "/var/lib/heddle"})
	account := o.attested(&pod, e.objects, e.operator)
	service := o.service(e.objects, e.served...)
	service.Spec.Type = e.kind
	return []runtime.Object{
		account, service, o.deployment(e.objects, e.replicas, pod), o.disruption(e.objects),
		o.networkPolicy(e.objects, from("", targets(e.served)...), networkingv1.NetworkPolicyEgressRule{}),
	}
}

// serverURL and xdsAddress are where the servers are called.
func (o Options) serverURL() string {
	return "https://" + o.host(Server) + ":" + strconv.Itoa(restPort)
}

func (o Options) xdsAddress() string { return o.host(Server) + ":" + strconv.Itoa(xdsPort) }
