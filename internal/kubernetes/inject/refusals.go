package inject

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// otherMeshes are containers that intercept connections themselves.
var otherMeshes = []string{"istio-proxy", "linkerd-proxy", "kuma-sidecar", "consul-dataplane"}

// impossible says why a pod can have no sidecar, or "".
func impossible(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return "it has hostNetwork: true, and what it sends cannot be told from what the rest of the host sends. Run heddle proxy on the host, or give the pod a network of its own"
	}
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return "it runs on Windows, and the sidecar does on Linux only"
	}
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		if slices.Contains(otherMeshes, container.Name) {
			return fmt.Sprintf("it has a container %s, another mesh's sidecar, and two would take each other's connections. Opt out of the one, or of the other by label %s: \"false\"", container.Name, InjectLabel)
		}
		if container.Name == SidecarName || container.Name == InterceptName {
			return fmt.Sprintf("it has a container %s already, which the injector did not make. Leave it out, or opt out by label %s: \"false\"", container.Name, InjectLabel)
		}
	}
	return ""
}

// conflicts finds what of a pod's own cannot stand beside the sidecar.
func conflicts(pod *corev1.Pod, w wish) (faults mesh.Faults) {
	for _, list := range []struct {
		path string
		of   []corev1.Container
	}{{"spec.initContainers", pod.Spec.InitContainers}, {"spec.containers", pod.Spec.Containers}} {
		for i, container := range list.of {
			path := fmt.Sprintf("%s[%d]", list.path, i)
			if w.intercept && runsAs(pod, container) == ProxyUID {
				faults.Add(path+".securityContext.runAsUser", "%d is the sidecar's: what container %s sends would pass by the mesh. Have it run as another, or set annotation %s: \"off\"", ProxyUID, short(container.Name), InterceptionKey)
			}
			for j, port := range container.Ports {
				if number := mesh.Port(port.ContainerPort); reserved(number) {
					faults.Add(fmt.Sprintf("%s.ports[%d].containerPort", path, j), "%d is the sidecar's own port: have container %s listen on another", number, short(container.Name))
				}
			}
		}
	}
	for i, volume := range pod.Spec.Volumes {
		if slices.Contains(ourVolumes, volume.Name) {
			faults.Add(fmt.Sprintf("spec.volumes[%d].name", i), "%s is the sidecar's: give the volume another name", volume.Name)
		}
	}
	return faults
}

// runsAs is the user of a container; -1 when its image says.
func runsAs(pod *corev1.Pod, container corev1.Container) int64 {
	if own := container.SecurityContext; own != nil && own.RunAsUser != nil {
		return *own.RunAsUser
	}
	if all := pod.Spec.SecurityContext; all != nil && all.RunAsUser != nil {
		return *all.RunAsUser
	}
	return -1
}
