package heddletest

import (
	"context"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Ports are from a range below the one that the kernel takes outgoing ports from, so that
// nobody gets a port between its choice and its use. Test processes that run at a time
// share it by blocks: a block is the process's that listens at its first port.
const (
	firstPort  = 20_000
	blockPorts = 100
	blocks     = 100
	mostBlocks = 5 // of a process: then it goes through its ports again
)

// ports are those of this process.
var ports = struct {
	mu    sync.Mutex
	begin int            // the block that is tried first
	held  []net.Listener // guarded by mu; each at the first port of a block
	first []int          // guarded by mu; of the blocks
	next  int            // guarded by mu; counts the ports given
}{begin: os.Getpid() * 7} // what runs next has others, which nothing holds on to

// FreePort takes a port that nothing listens on, for a process that binds it soon. No other
// test process of the machine is given it meanwhile.
func FreePort(t testing.TB) mesh.Port {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for range 2 * mostBlocks * blockPorts {
		if ports.next == len(ports.first)*(blockPorts-1) && !holdBlock() {
			ports.next = 0
		}
		if len(ports.first) == 0 {
			break
		}
		port := mesh.Port(ports.first[ports.next/(blockPorts-1)] + 1 + ports.next%(blockPorts-1))
		ports.next++
		if isFree(port) {
			return port
		}
	}
	t.Fatal("found no free port")
	return 0
}

// isFree says whether nothing listens there. Meanwhile no process may be forked: until it
// is another program it would hold the port, too.
func isFree(port mesh.Port) bool {
	if runtime.GOOS == "linux" { // elsewhere to listen takes the lock by itself
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	listener, err := listenAt(port)
	if err == nil {
		_ = listener.Close()
	}
	return err == nil
}

// holdBlock takes another block until this process ends; false: there is none for it.
// ports.mu is held.
func holdBlock() bool {
	if len(ports.first) == mostBlocks {
		return false
	}
	for i := range blocks {
		first := firstPort + (ports.begin+i)%blocks*blockPorts
		if listener, err := listenAt(mesh.Port(first)); err == nil {
			ports.held, ports.first = append(ports.held, listener), append(ports.first, first)
			return true
		}
	}
	return false
}

func listenAt(port mesh.Port) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", Loopback(port))
}
