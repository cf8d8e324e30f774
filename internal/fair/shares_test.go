package fair

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
)

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

func TestSomeIsLeftForWhoeverComes(t *testing.T) {
	const all, leaves, addresses = 6000, 8, 30
	s := New(all, leaves)
	took := map[int]int{}
	for n := range addresses {
		for s.Take(address(n), 1) {
			took[n]++
		}
	}
	if alone := all / (leaves + 1); took[0] != alone {
		t.Errorf("the first took %d, not %d", took[0], alone)
	}
	if second := all * leaves / (leaves + 1) / (leaves + 1); took[1] != second {
		t.Errorf("the second took %d, not %d", took[1], second)
	}
	if !s.Take(address(addresses), 10) {
		t.Errorf("nothing for another beside thirty that take all they can: %d are left", s.free)
	}
	s.Leave(address(addresses), 10)
	for n, of := range took {
		s.Leave(address(n), of)
	}
	if s.free != all || len(s.held) != 0 {
		t.Errorf("all have left, and %d of %d are free; held: %v", s.free, all, s.held)
	}
}

// TestManyAtOnce loses nothing, and never gives more than there is.
func TestManyAtOnce(t *testing.T) {
	const all = 500
	s := New(all, 2)
	var running sync.WaitGroup
	for n := range 16 {
		running.Go(func() {
			for range 2000 {
				if of, much := address(n%5), 1+rand.IntN(9); s.Take(of, much) {
					s.Leave(of, much)
				}
			}
		})
	}
	running.Wait()
	if s.free != all || len(s.held) != 0 {
		t.Errorf("%d of %d are free; held: %v", s.free, all, s.held)
	}
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"10.0.0.1:80":          "10.0.0.1",
		"[::ffff:10.0.0.1]:80": "10.0.0.1",
		"[fe80::1%eth0]:80":    "fe80::1",
		"@":                    "invalid IP",
		"":                     "invalid IP",
	} {
		if got := Address(remote).String(); got != want {
			t.Errorf("%q: %s, not %s", remote, got, want)
		}
	}
}
