package catalog

import (
	"cmp"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// expiry is an instance whose lease ended, not long ago.
type expiry struct {
	instance *mesh.Instance
	at       time.Time
}

func compareID(i *mesh.Instance, id mesh.InstanceID) int { return cmp.Compare(i.ID, id) }

// instance applies a registration, a change, a deregistration or an expired lease.
//
// A single expired lease is a dead instance, and it goes at once. When most of
// a service's instances expire within the window, the likelier cause is that
// their agents are cut off: all of them stay as endpoints, marked stale, until
// they register again or are deregistered, so that a mass expiry never empties
// a service that works. Envoy's own health checks still keep off the dead ones.
func (e *edit) instance(i *mesh.Instance, deleted bool) {
	key := i.Key()
	switch {
	case deleted:
		if _, deregistered := e.catalog.removed[key]; deregistered {
			delete(e.catalog.removed, key)
			return
		}
		e.expire(i.Key())
	case i.Health == mesh.Removed:
		e.catalog.removed[key] = struct{}{}
		e.forget(key)
		e.drop(key)
	default:
		delete(e.catalog.removed, key)
		e.forget(key)
		e.put(i)
		e.settle(key.Service)
	}
}

func (e *edit) put(i *mesh.Instance) {
	list, _ := e.view.instances.get(i.Service)
	e.placed(i.Service, find(list, i.ID), i)
	e.setInstances(i.Service, insert(list, i, i.ID, compareID))
}

func (e *edit) drop(key mesh.InstanceKey) {
	list, _ := e.view.instances.get(key.Service)
	e.placed(key.Service, find(list, key.ID), nil)
	e.setInstances(key.Service, remove(list, key.ID, compareID))
}

func (e *edit) setInstances(service mesh.ServiceName, list []*mesh.Instance) {
	e.changes.Instances = union(e.changes.Instances, map[mesh.ServiceName]struct{}{service: {}})
	if len(list) == 0 {
		e.view.instances = e.view.instances.without(service)
		return
	}
	e.view.instances = e.view.instances.with(service, list)
}

// expire handles an ended lease.
func (e *edit) expire(key mesh.InstanceKey) {
	list, _ := e.view.instances.get(key.Service)
	i, found := slices.BinarySearchFunc(list, key.ID, compareID)
	if !found || list[i].Stale {
		return
	}
	if list[i].Meta.Keeper != "" { // it had no lease: whoever deleted it meant it
		e.drop(key)
		return
	}
	e.catalog.forgetOld(e.now)
	recent := slices.DeleteFunc(e.catalog.expired[key.Service], func(x expiry) bool { return e.catalog.isOld(x, e.now) })
	recent = append(recent, expiry{instance: list[i], at: e.now})
	e.catalog.expired[key.Service] = recent
	e.drop(key)

	list, _ = e.view.instances.get(key.Service)
	live := liveCount(list)
	if len(recent) <= live { // at most half of what there was
		return
	}
	e.catalog.cfg.Logger.Warn("most instances of a service lost their leases at once; keeping the last known ones until they are confirmed gone",
		"service", key.Service, "live", live, "expired", len(recent))
	for _, x := range recent {
		kept := *x.instance
		kept.Stale = true
		e.put(&kept)
	}
}

func (c *Catalog) isOld(x expiry, now time.Time) bool { return now.Sub(x.at) > c.cfg.ExpiryWindow }

// forgetOld lets go of the expiries of services of which nothing more is heard,
// once in a window.
func (c *Catalog) forgetOld(now time.Time) {
	if now.Sub(c.forgotten) <= c.cfg.ExpiryWindow {
		return
	}
	c.forgotten = now
	for service, recent := range c.expired {
		if recent = slices.DeleteFunc(recent, func(x expiry) bool { return c.isOld(x, now) }); len(recent) == 0 {
			delete(c.expired, service)
		} else {
			c.expired[service] = recent
		}
	}
}

// settle drops the stale instances that did not come back once most of the
// service's instances did: those were deaths after all.
func (e *edit) settle(service mesh.ServiceName) {
	list, _ := e.view.instances.get(service)
	live := liveCount(list)
	stale := len(list) - live
	if stale == 0 || live < stale {
		return
	}
	for _, one := range list {
		if !one.Stale {
			continue
		}
		e.drop(one.Key())
	}
	delete(e.catalog.expired, service)
}

// forget takes an instance off the list of expired ones.
func (e *edit) forget(key mesh.InstanceKey) {
	recent := slices.DeleteFunc(e.catalog.expired[key.Service], func(x expiry) bool { return x.instance.ID == key.ID })
	if len(recent) == 0 {
		delete(e.catalog.expired, key.Service)
		return
	}
	e.catalog.expired[key.Service] = recent
}

func liveCount(list []*mesh.Instance) int {
	n := 0
	for _, one := range list {
		if !one.Stale {
			n++
		}
	}
	return n
}
