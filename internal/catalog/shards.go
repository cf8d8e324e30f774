package catalog

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
)

const shardCount = 256

// shards is a persistent map: with returns a changed copy that shares every
// shard but the one written, so a write among n entries copies about n/256 of them.
type shards[K ~string, V any] struct {
	seed  maphash.Seed
	parts *[shardCount]map[K]V
	size  int
}

func newShards[K ~string, V any](seed maphash.Seed) shards[K, V] {
	return shards[K, V]{seed: seed, parts: new([shardCount]map[K]V)}
}

func (s shards[K, V]) part(key K) int {
	return int(maphash.String(s.seed, string(key)) % shardCount)
}

func (s shards[K, V]) get(key K) (V, bool) {
	v, ok := s.parts[s.part(key)][key]
	return v, ok
}

func (s shards[K, V]) with(key K, value V) shards[K, V] {
	return s.change(key, func(part map[K]V) { part[key] = value })
}

func (s shards[K, V]) without(key K) shards[K, V] {
	if _, ok := s.get(key); !ok {
		return s
	}
	return s.change(key, func(part map[K]V) { delete(part, key) })
}

func (s shards[K, V]) change(key K, write func(map[K]V)) shards[K, V] {
	i := s.part(key)
	before := len(s.parts[i])
	part := maps.Clone(s.parts[i])
	if part == nil {
		part = map[K]V{}
	}
	write(part)
	parts := *s.parts
	parts[i] = part
	return shards[K, V]{seed: s.seed, parts: &parts, size: s.size + len(part) - before}
}

// all goes through the values in no order.
func (s shards[K, V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, part := range s.parts {
			for _, value := range part {
				if !yield(value) {
					return
				}
			}
		}
	}
}

// sorted goes through the values in the order of their keys.
func (s shards[K, V]) sorted() iter.Seq[V] {
	keys := make([]K, 0, s.size)
	for _, part := range s.parts {
		for key := range part {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return func(yield func(V) bool) {
		for _, key := range keys {
			v, _ := s.get(key)
			if !yield(v) {
				return
			}
		}
	}
}
