package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// probes are the application's own, by "<container>/<kind>".
type probes map[string]*corev1.Probe

// kinds gives a container's probes by their kind, to read and to replace.
func kinds(container *corev1.Container) map[string]**corev1.Probe {
	return map[string]**corev1.Probe{
		"readiness": &container.ReadinessProbe, "liveness": &container.LivenessProbe, "startup": &container.StartupProbe,
	}
}

// redirectProbes has the sidecar make the probes of the intercepted port: the
// kubelet has no certificate, and its own connection would be refused.
func redirectProbes(spec *corev1.PodSpec, appPort mesh.Port) (probes, []string) {
	own := probes{}
	var warnings []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			container := &list[i]
			for kind, place := range kinds(container) {
				if *place == nil || probedPort(container, *place) != appPort {
					continue
				}
				key := container.Name + "/" + kind
				own[key] = withNumber((*place).DeepCopy(), appPort)
				redirected := (*place).DeepCopy()
				redirected.ProbeHandler = corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					Path: "/probe/" + key, Port: intstr.FromInt32(int32(StatusPort)), Scheme: corev1.URISchemeHTTP,
				}}
				*place = redirected
			}
			warnings = append(warnings, hookWarnings(container, appPort)...)
		}
	}
	return own, warnings
}

// probedPort is the port of the pod that a probe connects to; 0: none.
func probedPort(container *corev1.Container, probe *corev1.Probe) mesh.Port {
	switch {
	case probe.HTTPGet != nil && probe.HTTPGet.Host == "":
		return numberOf(container, probe.HTTPGet.Port)
	case probe.TCPSocket != nil && probe.TCPSocket.Host == "":
		return numberOf(container, probe.TCPSocket.Port)
	case probe.GRPC != nil:
		return mesh.Port(probe.GRPC.Port)
	}
	return 0
}

// numberOf looks a port up that may be a name; 0 when the container has none such.
func numberOf(container *corev1.Container, port intstr.IntOrString) mesh.Port {
	if port.Type == intstr.Int {
		return mesh.Port(port.IntVal)
	}
	for _, one := range container.Ports {
		if one.Name == port.StrVal {
			return mesh.Port(one.ContainerPort)
		}
	}
	return 0
}

// withNumber replaces a port's name, which the sidecar does not know.
func withNumber(probe *corev1.Probe, port mesh.Port) *corev1.Probe {
	number := intstr.FromInt32(int32(port))
	switch {
	case probe.HTTPGet != nil:
		probe.HTTPGet.Port = number
	case probe.TCPSocket != nil:
		probe.TCPSocket.Port = number
	}
	return probe
}

// hookWarnings tells of lifecycle hooks that the kubelet sends to the intercepted port.
func hookWarnings(container *corev1.Container, appPort mesh.Port) (warnings []string) {
	if container.Lifecycle == nil {
		return nil
	}
	for _, one := range []struct {
		name string
		hook *corev1.LifecycleHandler
	}{{"postStart", container.Lifecycle.PostStart}, {"preStop", container.Lifecycle.PreStop}} {
		if one.hook == nil || one.hook.HTTPGet == nil || one.hook.HTTPGet.Host != "" || numberOf(container, one.hook.HTTPGet.Port) != appPort {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("container %s: lifecycle.%s.httpGet goes to port %d, where the sidecar asks for a certificate that the kubelet has not: use exec, or another port", container.Name, one.name, appPort))
	}
	return warnings
}
