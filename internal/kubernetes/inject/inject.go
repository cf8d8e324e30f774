package inject

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Opted says whose label asks for the injection.
type Opted string

// The ways to opt in: heddle.io/inject: enabled of the namespace, or "true" of the pod.
const (
	ByNamespace Opted = "namespace"
	ByPod       Opted = "pod"
)

// Outcome is what becomes of a pod.
type Outcome struct {
	Pod      *corev1.Pod // the changed pod; nil when it is left as it is
	Without  string      // why it gets no sidecar; "" when it gets one, or is not to have one
	Patch    []Operation // leads from the pod that came in to Pod
	Warnings []string    // for whoever creates the pod
}

// Inject puts the sidecar into a pod, which is not changed itself. Its namespace
// has to be set. A pod that cannot have what it asks for is refused, with every
// fault. One that only its namespace is to have a sidecar for, and that cannot have
// one, is left without, and an annotation of it says why.
func Inject(pod *corev1.Pod, by Opted, settings Settings) (Outcome, error) {
	settings = settings.withDefaults()
	if slices.Contains(SystemNamespaces(), pod.Namespace) || pod.Namespace == settings.Namespace {
		return Outcome{}, nil
	}
	switch label := pod.Labels[InjectLabel]; {
	case label == "false" || by == ByPod && label != "true":
		return Outcome{}, nil
	case label != "" && label != "true":
		return Outcome{}, refuse(pod, mesh.Faults{{Path: "metadata.labels[" + InjectLabel + "]", Message: short(label) + ` is neither "true" nor "false"`}})
	}
	first, err := strip(pod)
	if err != nil {
		return Outcome{}, err
	}
	if why := impossible(first); why != "" {
		return without(pod, why)
	}
	w, why, faults := wishOf(first, settings)
	if why == "" {
		faults = append(faults, conflicts(first, w)...)
	}
	if len(faults) > 0 {
		return Outcome{}, refuse(pod, faults)
	}
	if why != "" {
		return without(pod, why)
	}
	after := first.DeepCopy()
	warnings := append(unread(pod.Annotations), w.apply(after, settings)...)
	if equality.Semantic.DeepEqual(pod, after) {
		return Outcome{Warnings: warnings}, nil
	}
	return Outcome{Pod: after, Patch: patch(pod, after), Warnings: warnings}, nil
}

// Name is how messages call a pod: what is made by a controller has no name yet.
func Name(pod *corev1.Pod) string {
	if name := cmp.Or(pod.Name, pod.GenerateName); name != "" {
		return pod.Namespace + "/" + name
	}
	return "of namespace " + pod.Namespace
}

// without decides about a pod that cannot have a sidecar. Whoever asked for one
// counts on it, and is refused; others read why in an annotation, for nobody is
// shown the warnings of pods that a controller makes.
func without(pod *corev1.Pod, why string) (Outcome, error) {
	out := Outcome{Without: why, Warnings: []string{fmt.Sprintf("pod %s gets no Heddle sidecar: %s", Name(pod), why)}}
	if _, injected := pod.Annotations[StatusKey]; injected && slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == SidecarName }) {
		return out, nil // what came after the injection does not take the sidecar away
	}
	if field := asks(pod); field != "" {
		return Outcome{}, refuse(pod, mesh.Faults{{Path: field, Message: "asks for it, and the pod cannot have it: " + why}})
	}
	if pod.Annotations[NotInjectedKey] == why {
		return out, nil
	}
	out.Pod = pod.DeepCopy()
	if out.Pod.Annotations == nil {
		out.Pod.Annotations = map[string]string{}
	}
	out.Pod.Annotations[NotInjectedKey] = why
	p := patcher{}
	p.annotations(pod.Annotations, out.Pod.Annotations)
	out.Patch = p.all
	return out, nil
}

// asks is the field by which the pod itself, not its namespace alone, asks for a sidecar; "" if none.
func asks(pod *corev1.Pod) string {
	switch {
	case pod.Labels[InjectLabel] == "true":
		return label(InjectLabel)
	case pod.Annotations[ServiceKey] != "":
		return metadata(ServiceKey)
	case pod.Labels[ServiceKey] != "":
		return label(ServiceKey)
	}
	return ""
}

func refuse(pod *corev1.Pod, faults mesh.Faults) error {
	return mesh.Invalid(fmt.Sprintf("pod %s cannot get its Heddle sidecar", Name(pod)), faults)
}

// apply makes of a pod without a sidecar one that has it.
func (w wish) apply(pod *corev1.Pod, settings Settings) (warnings []string) {
	var done before
	probes := probes{}
	if w.intercept && w.appPort != 0 {
		probes, warnings = redirectProbes(&pod.Spec, w.appPort)
	}
	if w.appPort != 0 && w.drain > 0 {
		done = delayEnd(&pod.Spec, w)
	}
	ours := make([]corev1.Container, 0, 2+len(pod.Spec.InitContainers))
	if w.intercept {
		ours = append(ours, w.interceptContainer(settings))
	}
	ours = append(ours, w.sidecar(settings, probes))
	pod.Spec.InitContainers = append(ours, pod.Spec.InitContainers...)
	pod.Spec.Volumes = append(pod.Spec.Volumes, volumes()...)

	annotations := maps.Clone(pod.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[ServiceKey] = string(w.service)
	annotations[StatusKey] = Version
	if w.appPort != 0 {
		annotations[InboundPortKey] = strconv.Itoa(int(InboundPort))
	}
	if text := done.encode(); text != "" {
		annotations[BeforeKey] = text
	}
	pod.Annotations = annotations
	return warnings
}
