package operator

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/internal/kubernetes/v1alpha1"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The conditions of an object.
const (
	accepted   = "Accepted"       // it is in the registry
	programmed = "Programmed"     // the proxies have it
	endpoints  = "EndpointsFound" // there are pods; of a MeshService that is to have some here
)

// mostMessage is how long a condition's message may be.
const mostMessage = 1024

// tell writes how it went into the object's status, and says when to look again.
func (c *objects) tell(ctx context.Context, o object, found v1alpha1.Object, went outcome) (time.Duration, error) {
	declared := found.Common()
	before := found.DeepCopyObject().(v1alpha1.Object)
	again := went.again
	if went.unknown {
		again = c.patience.next(o, fmt.Sprintf("%s %d", went.reason, declared.Generation), firstPause, awayPause)
	}
	set := func(kind string, is metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&declared.Status.Conditions, metav1.Condition{
			Type: kind, Status: is, Reason: reason, Message: mesh.Cut(message, mostMessage), ObservedGeneration: declared.Generation,
		})
	}
	switch {
	case went.reason == "":
		set(accepted, metav1.ConditionTrue, "Accepted", fmt.Sprintf("the registry has it since revision %d", went.revision))
		declared.Status.Revision = went.revision
		c.tellEndpoints(ctx, o, declared, set)
		again = c.tellProgress(ctx, o, declared, set)
	case went.unknown && meta.IsStatusConditionTrue(declared.Status.Conditions, accepted) && declared.Status.ObservedGeneration == declared.Generation:
		return again, nil // what was said of this generation is still the latest that is known
	case went.unknown:
		set(accepted, metav1.ConditionUnknown, went.reason, went.message)
	default:
		c.patience.forget(o)
		set(accepted, metav1.ConditionFalse, went.reason, went.message)
		set(programmed, metav1.ConditionFalse, "NotAccepted", "it is not in the registry as it is declared")
		declared.Status.Proxies = ""
		meta.RemoveStatusCondition(&declared.Status.Conditions, endpoints)
	}
	declared.Status.ObservedGeneration = declared.Generation
	c.told.note(o, c.mirror.print(declared.Status))
	if equality.Semantic.DeepEqual(before.Common().Status, declared.Status) {
		return again, nil
	}
	c.announce(found, before.Common().Status.Conditions)
	return again, ignoreMoved(c.client.Status().Patch(ctx, found, ctrl.MergeFrom(before)))
}

// tellWaiting says of an object that is deleted why it is there still. Each new cause
// is an event too.
func (c *objects) tellWaiting(ctx context.Context, o object, found v1alpha1.Object, cause error) error {
	declared := found.Common()
	before := found.DeepCopyObject().(v1alpha1.Object)
	for _, kind := range []string{accepted, programmed} {
		meta.SetStatusCondition(&declared.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: "NotRemoved", ObservedGeneration: declared.Generation,
			Message: mesh.Cut("it is deleted, and waits for the registry, which still has it (finalizer "+finalizer+"): "+lasting(cause), mostMessage),
		})
	}
	c.told.note(o, c.mirror.print(declared.Status))
	if equality.Semantic.DeepEqual(before.Common().Status, declared.Status) {
		return nil
	}
	c.announce(found, before.Common().Status.Conditions)
	return ignoreMoved(c.client.Status().Patch(ctx, found, ctrl.MergeFrom(before)))
}

// tellEndpoints says whether there are endpoints, and why there are none.
func (c *objects) tellEndpoints(ctx context.Context, o object, d *v1alpha1.Declared, set func(kind string, is metav1.ConditionStatus, reason, message string)) {
	is, unjoined := finding{}, ""
	if o.kind != routeKind {
		is, unjoined = c.findings.get(mesh.ServiceName(o.Name)), c.unjoined(ctx, mesh.ServiceName(o.Name))
	}
	switch {
	case unjoined != "" && is.found:
		set(endpoints, metav1.ConditionTrue, is.reason, is.message+"; but "+unjoined)
	case unjoined != "" && is.reason != "":
		set(endpoints, metav1.ConditionFalse, is.reason, is.message+"; and "+unjoined)
	case unjoined != "":
		set(endpoints, metav1.ConditionFalse, "NoSuchCluster", unjoined)
	case is.reason == "":
		meta.RemoveStatusCondition(&d.Status.Conditions, endpoints)
	case is.found:
		set(endpoints, metav1.ConditionTrue, is.reason, is.message)
	default:
		set(endpoints, metav1.ConditionFalse, is.reason, is.message)
	}
}

// tellProgress says how far the proxies have come, and when to ask again.
func (c *objects) tellProgress(ctx context.Context, o object, d *v1alpha1.Declared, set func(kind string, is metav1.ConditionStatus, reason, message string)) time.Duration {
	const soon, settled = 300 * time.Millisecond, time.Minute
	p, err := c.counted.progress(ctx, o.kind.noun(), o.Name)
	if err != nil {
		if was := meta.FindStatusCondition(d.Status.Conditions, programmed); was == nil || was.ObservedGeneration != d.Generation {
			set(programmed, metav1.ConditionUnknown, "ServerUnreachable", lasting(err))
		}
		return c.patience.next(o, "progress", firstPause, awayPause)
	}
	switch {
	case p.Revision < d.Status.Revision:
		set(programmed, metav1.ConditionUnknown, "Pending", fmt.Sprintf("the control plane has not seen revision %d yet", d.Status.Revision))
		return c.patience.next(o, fmt.Sprintf("revision %d", d.Status.Revision), soon, mostPause)
	case len(p.Refused) > 0:
		first := p.Refused[0]
		set(programmed, metav1.ConditionFalse, "Refused", fmt.Sprintf("%d of %d proxies refused it (NACK); %s: %s", len(p.Refused), p.Proxies, first.Node, first.Message))
	case p.Acknowledged < p.Proxies:
		set(programmed, metav1.ConditionFalse, "Pending", fmt.Sprintf("%d of %d proxies acknowledged revision %d", p.Acknowledged, p.Proxies, d.Status.Revision))
		d.Status.Proxies = fmt.Sprintf("%d/%d", p.Acknowledged, p.Proxies)
		return c.patience.next(o, fmt.Sprintf("%d of %d at revision %d", p.Acknowledged, p.Proxies, d.Status.Revision), soon, mostPause)
	case p.Proxies == 0:
		set(programmed, metav1.ConditionTrue, "NoProxies", "no proxy is connected that needs it")
	default:
		set(programmed, metav1.ConditionTrue, "Acknowledged", fmt.Sprintf("%d of %d proxies acknowledged revision %d", p.Acknowledged, p.Proxies, d.Status.Revision))
	}
	d.Status.Proxies = fmt.Sprintf("%d/%d", p.Acknowledged, p.Proxies)
	c.patience.forget(o)
	return pause(settled)
}

// announce makes an event of each condition that became another. A proxy that is not
// there yet is no event.
func (c *objects) announce(found v1alpha1.Object, before []metav1.Condition) {
	for _, is := range found.Common().Status.Conditions {
		was := meta.FindStatusCondition(before, is.Type)
		if was != nil && was.Status == is.Status && was.Reason == is.Reason || is.Reason == "Pending" || is.Reason == "NotAccepted" {
			continue
		}
		kind := "Normal"
		if is.Status != metav1.ConditionTrue {
			kind = "Warning"
		}
		c.recorder.Eventf(found, nil, kind, is.Reason, is.Type, "%s", is.Message)
	}
}
