package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Operation is one step of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patch leads from one pod to another that the injector made of it. It names
// only what the injector changes: what else is in the pod may be newer than the
// API that this program knows, and its size does not matter.
func patch(from, to *corev1.Pod) []Operation {
	var p patcher
	p.annotations(from.Annotations, to.Annotations)
	if !equality.Semantic.DeepEqual(from.Spec.TerminationGracePeriodSeconds, to.Spec.TerminationGracePeriodSeconds) {
		p.set("/spec/terminationGracePeriodSeconds", to.Spec.TerminationGracePeriodSeconds, to.Spec.TerminationGracePeriodSeconds == nil)
	}
	for i := range from.Spec.Containers {
		p.container(fmt.Sprintf("/spec/containers/%d", i), &from.Spec.Containers[i], &to.Spec.Containers[i])
	}
	p.initContainers(from.Spec.InitContainers, to.Spec.InitContainers)
	p.volumes(from.Spec.Volumes, to.Spec.Volumes)
	return p.all
}

type patcher struct{ all []Operation }

func (p *patcher) add(path string, value any) {
	p.all = append(p.all, Operation{Op: "add", Path: path, Value: value})
}

func (p *patcher) remove(path string) { p.all = append(p.all, Operation{Op: "remove", Path: path}) }

// set writes a field, or takes it away. add replaces what is there.
func (p *patcher) set(path string, value any, gone bool) {
	if gone {
		p.remove(path)
		return
	}
	p.add(path, value)
}

func (p *patcher) annotations(from, to map[string]string) {
	if len(from) == 0 {
		p.add("/metadata/annotations", to)
		return
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, key := range slices.Sorted(maps.Keys(to)) {
		if old, set := from[key]; !set || old != to[key] {
			p.add("/metadata/annotations/"+escape.Replace(key), to[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if _, stays := to[key]; !stays {
			p.remove("/metadata/annotations/" + escape.Replace(key))
		}
	}
}

// container writes what of an application's container is changed.
func (p *patcher) container(path string, from, to *corev1.Container) {
	for _, one := range []struct {
		name     string
		from, to *corev1.Probe
	}{
		{"livenessProbe", from.LivenessProbe, to.LivenessProbe},
		{"readinessProbe", from.ReadinessProbe, to.ReadinessProbe},
		{"startupProbe", from.StartupProbe, to.StartupProbe},
	} {
		if !equality.Semantic.DeepEqual(one.from, one.to) {
			p.add(path+"/"+one.name, one.to)
		}
	}
	if !equality.Semantic.DeepEqual(from.Lifecycle, to.Lifecycle) {
		p.set(path+"/lifecycle", to.Lifecycle, to.Lifecycle == nil)
	}
}

// initContainers writes the pod's own in their places, and then ours before them.
func (p *patcher) initContainers(from, to []corev1.Container) {
	ours := to[:slices.IndexFunc(to, func(c corev1.Container) bool { return c.Name == SidecarName })+1]
	own := to[len(ours):]
	next, inFront := 0, true
	for i := range from {
		if ourContainer(from[i].Name) {
			inFront = inFront && i < len(ours)
			continue
		}
		p.container(initContainerPath(i), &from[i], &own[next])
		next++
	}
	if had := len(from) - next; had == len(ours) && inFront && equality.Semantic.DeepEqual(from[:had], ours) {
		return
	}
	if len(from) == 0 {
		p.add("/spec/initContainers", ours)
		return
	}
	for i := range slices.Backward(from) {
		if ourContainer(from[i].Name) {
			p.remove(initContainerPath(i))
		}
	}
	for i := range ours {
		p.add(initContainerPath(i), ours[i])
	}
}

func (p *patcher) volumes(from, to []corev1.Volume) {
	ours := to[len(to)-len(ourVolumes):]
	if len(from) >= len(ours) && equality.Semantic.DeepEqual(from[len(from)-len(ours):], ours) {
		return
	}
	if len(from) == 0 {
		p.add("/spec/volumes", ours)
		return
	}
	for i := range slices.Backward(from) {
		if slices.Contains(ourVolumes, from[i].Name) {
			p.remove(fmt.Sprintf("/spec/volumes/%d", i))
		}
	}
	for i := range ours {
		p.add("/spec/volumes/-", ours[i])
	}
}

func initContainer(i int) string     { return fmt.Sprintf("spec.initContainers[%d]", i) }
func initContainerPath(i int) string { return fmt.Sprintf("/spec/initContainers/%d", i) }
