package xds

// bits is a set of small numbers: the entries of one type that a stream asked
// for. A thousand streams that ask for a thousand names each would otherwise be
// a million entries of maps.
type bits []uint64

func (b bits) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

func (b *bits) add(i int) {
	if n := i/64 + 1; n > len(*b) {
		*b = append(*b, make(bits, n-len(*b))...)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bits) remove(i int) { b[i/64] &^= 1 << (i % 64) }

// numbers gives out numbers that nobody has, and again those that were given back,
// so that they stay small.
type numbers struct {
	next int
	free []int
}

func (n *numbers) take() int {
	if last := len(n.free) - 1; last >= 0 {
		i := n.free[last]
		n.free = n.free[:last]
		return i
	}
	n.next++
	return n.next - 1
}

func (n *numbers) give(i int) { n.free = append(n.free, i) }
