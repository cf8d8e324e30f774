package heddletest

import (
	"strconv"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Patience bounds each wait of tests: it is far above what anything takes, for busy machines.
const Patience = 60 * time.Second

// Eventually tries until attempt succeeds.
func Eventually(t testing.TB, what string, attempt func() error) {
	t.Helper()
	end := time.Now().Add(Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %v", what, Patience, err)
		}
		<-tick.C
	}
}

// Loopback is a port's address on this machine.
func Loopback(port mesh.Port) string { return "127.0.0.1:" + strconv.Itoa(int(port)) }
