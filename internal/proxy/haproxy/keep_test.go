package haproxy

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What changes all the time is written once a second, and only the last of it.
func TestWhatIsKeptIsWrittenAfterTheChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var k keeper
		var written []int
		var when []time.Duration
		keep := func(n int) {
			k.keep(func() { written, when = append(written, n), append(when, time.Since(began)) })
		}
		for n := range 25 { // until 1.2 s
			keep(n)
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !slices.Equal(written, []int{19, 24}) && !slices.Equal(written, []int{20, 24}) {
			t.Errorf("written: %d", written)
		}
		if len(when) != 2 || when[0] != keptLongest || when[1] != 24*50*time.Millisecond+keptQuiet {
			t.Errorf("when: %v", when)
		}
	})
}

// Who waits for what is kept waits for no quiet, and finds the last there.
func TestWhatIsKeptIsSettledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var k keeper
		k.settle() // nothing was kept
		last := 0
		for n := range 3 {
			k.keep(func() { last = -1 })
			k.keep(func() { last = n })
			k.settle()
			if last != n {
				t.Errorf("%d is written, not %d", last, n)
			}
			k.settle()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}
