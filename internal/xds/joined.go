package xds

import (
	"slices"
	"sync/atomic"
	"weak"
)

// joined is the bytes of many resources as they stand in one response. Streams of
// one scope that start are all sent the same, and gRPC copies one long buffer
// faster than a thousand short ones.
type joined struct {
	resources []*Resource
	bytes     []byte
}

// manyResources is from how many on resources are worth joining.
const manyResources = 32

// joins remembers what was joined last for one scope, type and variant, until the
// next garbage collection.
type joins struct {
	last atomic.Pointer[weak.Pointer[joined]]
}

// of gives the bytes of resources: the ones that the last response had, if it had
// the same.
func (j *joins) of(resources []*Resource, delta bool) *joined {
	if last := j.last.Load(); last != nil {
		if one := last.Value(); one != nil && slices.Equal(one.resources, resources) {
			return one
		}
	}
	size := 0
	for _, r := range resources {
		size += len(r.part(delta))
	}
	one := &joined{resources: resources, bytes: make([]byte, 0, size)}
	for _, r := range resources {
		one.bytes = append(one.bytes, r.part(delta)...)
	}
	made := weak.Make(one)
	j.last.Store(&made)
	return one
}

// part is the resource as a field of a response of either variant.
func (r *Resource) part(delta bool) []byte {
	if delta {
		return r.wire
	}
	return r.wire[r.sotwAt:]
}
