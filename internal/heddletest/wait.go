package heddletest

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync/atomic"
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

// ports counts through a range below the one that the kernel takes outgoing
// ports from, so that nobody gets a port between its choice and its use.
var ports atomic.Int64

// FreePort takes a port that nothing listens on, for a process that binds it soon.
func FreePort(t testing.TB) mesh.Port {
	t.Helper()
	for range 1000 {
		port := 20_000 + (int64(os.Getpid())*61+ports.Add(1))%10_000
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", Loopback(mesh.Port(port)))
		if err == nil {
			_ = listener.Close()
			return mesh.Port(port)
		}
	}
	t.Fatal("found no free port")
	return 0
}

// Loopback is a port's address on this machine.
func Loopback(port mesh.Port) string { return "127.0.0.1:" + strconv.Itoa(int(port)) }
