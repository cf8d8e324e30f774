package xds

import (
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// alike is what the responses to several streams have in common. Streams of one
// scope that start, or that fell behind, are sent the same: a thousand of them
// then share one list of what they were sent, and gRPC copies one long buffer
// faster than a thousand short ones. It never changes.
type alike struct {
	resources []*Resource
	changed   []sentItem
	join      sync.Once
	joined    []byte
}

// manyItems is from how many on the items of a response are worth sharing.
const manyItems = 32

// alikes remembers the last long response of one scope, type and variant, until
// the next garbage collection after nobody needs it.
type alikes struct {
	last atomic.Pointer[weak.Pointer[alike]]
}

// of gives what has these contents, which it does not keep: that of the last
// response, if it had the same. It may be called by many at a time.
func (a *alikes) of(resources []*Resource, changed []sentItem) *alike {
	if last := a.last.Load(); last != nil {
		if one := last.Value(); one != nil && slices.Equal(one.resources, resources) && slices.Equal(one.changed, changed) {
			return one
		}
	}
	one := &alike{resources: slices.Clone(resources), changed: slices.Clone(changed)}
	made := weak.Make(one)
	a.last.Store(&made)
	return one
}

// bytes are the resources one behind the other, as fields of a response of the
// variant that the responses are of.
func (a *alike) bytes(delta bool) []byte {
	a.join.Do(func() {
		size := 0
		for _, r := range a.resources {
			size += len(r.field(delta))
		}
		a.joined = make([]byte, 0, size)
		for _, r := range a.resources {
			a.joined = append(a.joined, r.field(delta)...)
		}
	})
	return a.joined
}

// field is the resource as a field of a response of either variant.
func (r *Resource) field(delta bool) []byte {
	if delta {
		return r.wire
	}
	return r.wire[r.sotwAt:]
}
