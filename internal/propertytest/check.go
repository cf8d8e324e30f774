// Package propertytest has tests check their properties with a fixed seed, so
// that what passed once is held for good, and with a random one, which is
// printed, so that something new is tried each time.
package propertytest

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// fixedSeed is as good as any other.
const fixedSeed = 1

// Check is [rapid.Check] with both seeds. Given -rapid.seed (or -rapid.failfile)
// it checks with that alone, which repeats a failure. rapid takes a seed only by
// its flag, which is set here meanwhile, so tests that call this are not parallel.
func Check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	seed, file := flag.Lookup("rapid.seed"), flag.Lookup("rapid.failfile")
	if seed.Value.String() != "0" || file.Value.String() != "" {
		rapid.Check(t, property)
		return
	}
	// The names stay the same, so that rapid finds the failures that it kept.
	for _, one := range []struct {
		name string
		seed uint64
	}{{"fixed seed", fixedSeed}, {"random seed", rand.Uint64()}} {
		t.Run(one.name, func(t *testing.T) {
			t.Logf("-rapid.seed=%d", one.seed)
			if err := seed.Value.Set(strconv.FormatUint(one.seed, 10)); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = seed.Value.Set("0") }()
			rapid.Check(t, property)
		})
	}
}
