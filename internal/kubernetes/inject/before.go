package inject

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// before is what the injector changed of a pod's own, beside its probes: enough
// to take it back.
type before struct {
	Grace   *int64   `json:"grace,omitempty"`   // terminationGracePeriodSeconds
	Delayed []string `json:"delayed,omitempty"` // containers that got a preStop hook
}

func (b before) encode() string {
	if len(b.Delayed) == 0 {
		return ""
	}
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // numbers and strings cannot fail
	}
	return string(text)
}

// delayEnd has the application go on while its callers leave: what they sent
// before they heard of its end would be lost. Containers with a preStop hook know
// better.
func delayEnd(spec *corev1.PodSpec, w wish) (done before) {
	const usual = int64(corev1.DefaultTerminationGracePeriodSeconds)
	grace := usual
	if spec.TerminationGracePeriodSeconds != nil {
		grace = *spec.TerminationGracePeriodSeconds
	}
	if grace == 0 { // it is to end at once
		return before{}
	}
	seconds := int64(w.drain / time.Second)
	for i := range spec.Containers {
		container := &spec.Containers[i]
		if !serves(spec, container, w.appPort) || container.Lifecycle != nil && container.Lifecycle.PreStop != nil {
			continue
		}
		lifecycle := container.Lifecycle.DeepCopy()
		if lifecycle == nil {
			lifecycle = &corev1.Lifecycle{}
		}
		lifecycle.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}
		container.Lifecycle = lifecycle
		done.Delayed = append(done.Delayed, container.Name)
	}
	if len(done.Delayed) > 0 {
		done.Grace = spec.TerminationGracePeriodSeconds
		longer := grace + seconds
		spec.TerminationGracePeriodSeconds = &longer
	}
	return done
}

// serves says whether a container may be the one that listens on the port.
func serves(spec *corev1.PodSpec, container *corev1.Container, port mesh.Port) bool {
	has := func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return mesh.Port(p.ContainerPort) == port })
	}
	return has(*container) || !slices.ContainsFunc(spec.Containers, has)
}

// strip takes an injected pod back to what it was.
func strip(pod *corev1.Pod) (*corev1.Pod, error) {
	out := pod.DeepCopy()
	delete(out.Annotations, NotInjectedKey)
	if _, injected := pod.Annotations[StatusKey]; !injected {
		return out, nil
	}
	var was before
	if text, set := pod.Annotations[BeforeKey]; set {
		if err := json.Unmarshal([]byte(text), &was); err != nil {
			return nil, refuse(pod, mesh.Faults{{Path: metadata(BeforeKey), Message: "cannot be read (" + err.Error() + "): leave it out, and " + StatusKey + " too"}})
		}
	}
	own, err := ownProbes(pod)
	if err != nil {
		return nil, err
	}
	for _, list := range [][]corev1.Container{out.Spec.InitContainers, out.Spec.Containers} {
		for i := range list {
			for kind, place := range kinds(&list[i]) {
				if original := own[list[i].Name+"/"+kind]; original != nil && *place != nil {
					*place = original
				}
			}
		}
	}
	for i := range out.Spec.Containers {
		container := &out.Spec.Containers[i]
		if !slices.Contains(was.Delayed, container.Name) || container.Lifecycle == nil {
			continue
		}
		if container.Lifecycle.PreStop = nil; container.Lifecycle.PostStart == nil && container.Lifecycle.StopSignal == nil {
			container.Lifecycle = nil
		}
	}
	if len(was.Delayed) > 0 {
		out.Spec.TerminationGracePeriodSeconds = was.Grace
	}
	out.Spec.InitContainers = slices.DeleteFunc(out.Spec.InitContainers, func(c corev1.Container) bool { return ourContainer(c.Name) })
	out.Spec.Volumes = slices.DeleteFunc(out.Spec.Volumes, func(v corev1.Volume) bool { return slices.Contains(ourVolumes, v.Name) })
	for _, key := range []string{StatusKey, InboundPortKey, BeforeKey} {
		delete(out.Annotations, key)
	}
	return out, nil
}

func ourContainer(name string) bool { return name == SidecarName || name == InterceptName }

// ownProbes reads the application's probes back from an injected sidecar.
func ownProbes(pod *corev1.Pod) (probes, error) {
	own := probes{}
	for i, container := range pod.Spec.InitContainers {
		if container.Name != SidecarName {
			continue
		}
		for _, variable := range container.Env {
			if variable.Name != probesVariable {
				continue
			}
			if err := json.Unmarshal([]byte(variable.Value), &own); err != nil {
				return nil, refuse(pod, mesh.Faults{{Path: initContainer(i) + ".env[" + probesVariable + "]", Message: "cannot be read (" + err.Error() + "): leave out the container, and annotation " + StatusKey}})
			}
		}
	}
	return own, nil
}
