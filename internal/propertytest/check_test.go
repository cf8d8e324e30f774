package propertytest_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/internal/propertytest"
)

// With the fixed seed a property sees the same each time, with the other one not.
func TestOneSeedIsFixedAndTheOtherIsNot(t *testing.T) {
	draw := func() (first []string) {
		seen := 0
		propertytest.Check(t, func(rt *rapid.T) {
			// Sixteen: rapid likes the ends of a range, so that one alone may be the same by chance.
			if some := rapid.SliceOfN(rapid.Uint64Range(1<<62, 1<<63), 16, 16).Draw(rt, "some"); seen%100 == 0 {
				first = append(first, fmt.Sprint(some))
			}
			seen++
		})
		return first
	}
	one, other := draw(), draw()
	same := 0
	for _, a := range one {
		for _, b := range other {
			if a == b {
				same++
			}
		}
	}
	if len(one) != 2 || same != 1 {
		t.Errorf("the first draws were %v and %v; one of two should be the same", one, other)
	}
}
