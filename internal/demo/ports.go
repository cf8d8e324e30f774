package demo

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// loopback is where everything of a demo listens.
const loopback = "127.0.0.1"

// blockSize is how many ports one demo has for itself, the guard included.
const blockSize = 64

// lowestBlock is where the search for a free block begins.
const lowestBlock = 10_000

// ports hands out the ports of one block. The children are told their ports
// beforehand, so a port has to stay free until its child takes it. Therefore
// blocks lie below the range from which the kernel gives ports to outgoing
// connections, and the first port of a block is held for as long as the demo
// runs: another demo that finds it taken uses another block.
type ports struct {
	guard net.Listener
	next  int
	end   int
	fixed bool // asked for by the user: one that is taken is an error, not skipped
}

// CheckBasePort says whether a demo can have the ports from base on, as far as
// the number tells; 0 leaves the choice to the demo.
func CheckBasePort(base int) error {
	if base < 0 || base+blockSize > 65536 {
		return fmt.Errorf("the demo needs %d ports in a row: the first cannot be %d, use 1024 to %d", blockSize, base, 65536-blockSize)
	}
	return nil
}

// reservePorts reserves a block: the one that starts at base, or any for 0.
func reservePorts(base int) (*ports, error) {
	if base != 0 {
		if err := CheckBasePort(base); err != nil {
			return nil, err
		}
		guard, err := listen(base)
		if err != nil {
			return nil, fmt.Errorf("the demo cannot have the ports from %d on: %w; choose others, or leave the choice to the demo", base, err)
		}
		return &ports{guard: guard, next: base + 1, end: base + blockSize, fixed: true}, nil
	}
	blocks := (firstOutgoingPort() - lowestBlock) / blockSize
	if blocks < 1 {
		return nil, fmt.Errorf("there are no ports between %d and those of outgoing connections (ip_local_port_range): say which to use", lowestBlock)
	}
	start := rand.IntN(blocks) // demos that start together seldom meet
	for i := range blocks {
		first := lowestBlock + (start+i)%blocks*blockSize
		if guard, err := listen(first); err == nil {
			return &ports{guard: guard, next: first + 1, end: first + blockSize}, nil
		}
	}
	return nil, fmt.Errorf("found no free block of %d ports from %d on", blockSize, lowestBlock)
}

// take gives a port that nobody listens on.
func (p *ports) take() (int, error) {
	for p.next < p.end {
		port := p.next
		p.next++
		l, err := listen(port)
		if err == nil {
			l.Close()
			return port, nil
		}
		if p.fixed {
			return 0, fmt.Errorf("port %d is taken: %w", port, err)
		}
	}
	return 0, fmt.Errorf("the demo has no port left of its %d", blockSize)
}

func (p *ports) close() { p.guard.Close() }

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", address(port)) //nolint:noctx // binds at once, there is nothing to wait for
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// firstOutgoingPort is the least port that the kernel gives to outgoing
// connections (ip(7), ip_local_port_range; IANA's own choice where it is not said).
func firstOutgoingPort() int {
	first := 32768
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var last int
		if _, err := fmt.Sscan(string(data), &first, &last); err != nil {
			return 32768
		}
	}
	return first
}
