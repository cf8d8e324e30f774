package fair

import (
	"net/netip"
	"sync"
)

// Shares is what addresses may hold. Each may hold a part of what is left (the dynamic
// thresholds of Choudhury and Hahne, 1998): with 8 times as much to be left as it holds,
// one alone a ninth of all, the next one a ninth of the rest.
type Shares struct {
	leaves int

	mu   sync.Mutex
	free int                // guarded by mu, as below
	held map[netip.Addr]int // no zeros
}

// New shares all, and leaves so many times of what an address holds for others.
func New(all, leaves int) *Shares {
	return &Shares{leaves: leaves, free: all, held: map[netip.Addr]int{}}
}

// Take has an address hold n more, if it may.
func (s *Shares) Take(of netip.Addr, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaves*(s.held[of]+n) > s.free-n {
		return false
	}
	s.free -= n
	s.held[of] += n
	return true
}

// Leave gives back n of what an address holds.
func (s *Shares) Leave(of netip.Addr, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
	if s.held[of] -= n; s.held[of] == 0 {
		delete(s.held, of)
	}
}

// Address is who calls from "ADDRESS:PORT", written in one way; the zero one stands for
// all without.
func Address(remote string) netip.Addr {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap().WithZone("")
}
