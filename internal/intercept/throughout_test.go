package intercept_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/netnstest"
)

// callers are some that call without end. That a call fails amid a change is allowed.
type callers struct {
	sidecar, past atomic.Int64 // calls that were answered by it, and by the application
	calling       sync.WaitGroup
}

func (c *callers) call(ctx context.Context, from netnstest.Namespace, address string) {
	c.calling.Go(func() {
		_ = from.Do(func() error {
			for ctx.Err() == nil {
				c.once(address)
			}
			return nil
		})
	})
}

func (c *callers) once(address string) {
	connection, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
	if err != nil {
		return
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(500 * time.Millisecond))
	switch got, _ := io.ReadAll(connection); string(got) {
	case "the sidecar":
		c.sidecar.Add(1)
	case "the application":
		c.past.Add(1)
	}
}

// transparently listens as Envoy does for either mode.
func transparently(t *testing.T, network string) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		level, option := unix.SOL_IP, unix.IP_TRANSPARENT
		if network == "tcp6" {
			level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
		}
		fault := c.Control(func(socket uintptr) { err = unix.SetsockoptInt(int(socket), level, option, 1) })
		if fault != nil {
			return fault
		}
		return err
	}}
	listener, err := config.Listen(t.Context(), network, ":15006")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// TestCallsThroughoutAChange of mode, of backend, and throughout installs that fail: none
// comes to the application past the sidecar.
func TestCallsThroughoutAChange(t *testing.T) {
	if !alone(t) {
		return
	}
	other := beside(t, 1)
	application, err := net.Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	says(t, application, "the application")
	for _, network := range []string{"tcp4", "tcp6"} {
		says(t, transparently(t, network), "the sidecar")
	}
	bad := func(c intercept.Config) intercept.Config { // no user has this number
		c.ExcludeUsers = []uint32{1<<32 - 1}
		return c
	}
	folder, path := t.TempDir(), os.Getenv("PATH")
	if err := os.WriteFile(folder+"/nft", []byte("#!/bin/sh\ncase \"$*\" in '-f -') exit 1;; esac\nPATH="+path+"\nexec nft \"$@\"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	if err := kernelBy(intercept.NFT).Install(t.Context(), usual()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all callers
	for _, address := range []string{"10.79.1.1:8080", "[fd79:1::1]:8080"} {
		all.call(ctx, other, address)
		all.call(ctx, other, address)
	}
	answered := func(what string) { // and some calls more in the state that is reached
		t.Helper()
		want := all.sidecar.Load() + 40
		for end := time.Now().Add(10 * time.Second); all.sidecar.Load() < want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: no calls come to the sidecar", what)
			}
		}
		if past := all.past.Swap(0); past > 0 {
			t.Errorf("%s: %d calls came past the sidecar", what, past)
		}
	}
	answered("before")
	for _, backend := range append(backends, backends[0]) {
		for i, c := range []intercept.Config{usual(), transparent(usual()), usual(), transparent(usual())} {
			name := fmt.Sprintf("%s, %s", backend, []string{"redirect", "tproxy", "redirect again", "tproxy again"}[i])
			if err := kernelBy(backend).Install(t.Context(), c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			answered(name)
			other := transparent(usual())
			if c.TProxy != nil {
				other = usual()
			}
			if backend == intercept.NFT {
				t.Setenv("PATH", folder+":"+path)
			}
			if err := kernelBy(backend).Install(t.Context(), bad(other)); err == nil {
				t.Errorf("%s: a user that nobody is was taken", name)
			}
			t.Setenv("PATH", path)
			answered(name + ", and the other that failed")
		}
	}
	cancel()
	all.calling.Wait()
}
