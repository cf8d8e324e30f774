package intercept_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/intercept"
)

// TestAnswersToThisMachine, to connections whose own port is one of the application's,
// were dropped by TPROXY. Calls to it are not let in for all that.
func TestAnswersToThisMachine(t *testing.T) {
	if !alone(t) {
		return
	}
	application, err := net.Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	says(t, application, "the application")
	other := beside(t, 1)
	var far net.Listener
	if err := other.Do(func() (err error) { far, err = net.Listen("tcp", ":9090"); return err }); err != nil {
		t.Fatal(err)
	}
	says(t, far, "the other machine")
	c := transparent(usual())
	c.ExcludeUsers = []uint32{0}
	c.Inbound = append(c.Inbound, 8081)
	for _, backend := range backends {
		if err := kernelBy(backend).Install(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"10.79.1.2", "fd79:1::2"} {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{Port: 8081}, Timeout: 5 * time.Second}
			connection, err := dialer.Dial("tcp", net.JoinHostPort(address, "9090"))
			if err != nil {
				t.Errorf("%s: %v", backend, err)
				continue
			}
			if got, err := io.ReadAll(connection); string(got) != "the other machine" {
				t.Errorf("%s: got %q, %v", backend, got, err)
			}
			connection.Close()
		}
		if err := other.Do(func() error {
			connection, err := net.DialTimeout("tcp", "10.79.1.1:8080", 200*time.Millisecond)
			if err == nil {
				connection.Close()
				t.Errorf("%s: a call is let in", backend)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := kernelBy(backend).Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheTableThatTakesCallsNextComesFirst: iptables takes one after the other.
func TestTheTableThatTakesCallsNextComesFirst(t *testing.T) {
	for first, c := range map[string]intercept.Config{"*nat": usual(), "*mangle": transparent(usual())} {
		if rules := intercept.Rules(c, intercept.IPv4, saved+"*mangle\n:HEDDLE_TPROXY - [0:0]\nCOMMIT\n"); !strings.HasPrefix(rules, first+"\n") {
			t.Errorf("%s is not first:\n%s", first, rules)
		}
	}
}

// TestEndedAmidTheChange: a program that was killed after the kernel had the rules was
// taken for one that failed, and the routes were undone.
func TestEndedAmidTheChange(t *testing.T) {
	if !alone(t) {
		return
	}
	path := os.Getenv("PATH")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	folder := t.TempDir()
	slow := "#!/bin/sh\nPATH=" + path + "\nnft \"$@\" || exit 1\ncase \"$*\" in '-f -') touch " + folder + "/taken; sleep 0.5;; esac\n"
	if err := os.WriteFile(folder+"/nft", []byte(slow), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := os.Stat(folder + "/taken"); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	t.Setenv("PATH", folder+":"+path)
	err := kernelBy(intercept.NFT).Install(ctx, transparent(usual()))
	cancel()
	<-ended
	t.Setenv("PATH", path)
	if err != nil {
		t.Errorf("got %v", err)
	}
	if state := shows(t, intercept.NFT, transparent(usual())); !state.AsMeant {
		t.Errorf("not as meant: %+v", state)
	}
	if err := kernelBy(intercept.NFT).Install(ctx, usual()); err == nil {
		t.Error("one that was ended before is begun")
	}
}
