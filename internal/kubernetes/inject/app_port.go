package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// appPort finds where the application listens.
func (r *reader) appPort(pod *corev1.Pod) (port mesh.Port, why string) {
	var all []corev1.ContainerPort
	for _, container := range pod.Spec.Containers {
		for _, one := range container.Ports {
			if one.Protocol == "" || one.Protocol == corev1.ProtocolTCP {
				all = append(all, one)
			}
		}
	}
	value, set := r.annotations[AppPortKey]
	switch {
	case set && value == "none":
		return 0, ""
	case set:
		for _, one := range all {
			if one.Name == value {
				return mesh.Port(one.ContainerPort), ""
			}
		}
		number, err := strconv.Atoi(value)
		if err != nil || number < 1 || number > 65535 {
			r.fault(AppPortKey, "%s is neither a port, nor the name of one of the containers' TCP ports, nor none", short(value))
			return 0, ""
		}
		if reserved(mesh.Port(number)) {
			r.fault(AppPortKey, "%d is the sidecar's own port: have the application listen on another", number)
		}
		return mesh.Port(number), ""
	case len(all) == 1:
		return mesh.Port(all[0].ContainerPort), ""
	case len(all) > 1:
		if port := byName(all); port != 0 {
			return port, ""
		}
		return 0, fmt.Sprintf("it has %d TCP ports, and not just one whose name is of HTTP or gRPC: say with annotation %s which of them is the service's (its number or name, or none if it only calls)", len(all), AppPortKey)
	}
	return 0, ""
}

// byName is the only port that is named after a protocol of services (http), or, where
// none is, that begins so (http-web); 0: there is none, or several.
func byName(ports []corev1.ContainerPort) mesh.Port {
	protocols := []string{"http", "http2", "h2c", "grpc"}
	for _, protocol := range []func(name string) string{
		func(name string) string { return name },
		func(name string) string { before, _, _ := strings.Cut(name, "-"); return before },
	} {
		found := slices.DeleteFunc(slices.Clone(ports), func(p corev1.ContainerPort) bool { return !slices.Contains(protocols, protocol(p.Name)) })
		if len(found) == 1 {
			return mesh.Port(found[0].ContainerPort)
		}
		if len(found) > 1 {
			return 0
		}
	}
	return 0
}
