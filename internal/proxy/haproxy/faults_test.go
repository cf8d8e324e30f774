package haproxy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// A port that HAProxy may not have is left out from then on; one that it lost in a race is
// looked at again.
func TestPortsThatHAProxyCannotBind(t *testing.T) {
	for reason, stays := range map[string]bool{
		"Permission denied": true, "Operation not permitted": true,
		"Address already in use": false, "Cannot assign requested address": false,
	} {
		r := &Runner{faults: faults{unbound: map[mesh.Port]string{}}}
		r.suffer("HAProxy does not start", errors.New("[ALERT] (1) : Starting frontend port.80: cannot bind socket ("+reason+") for [127.0.0.1:80]\n[ALERT] (1) : [haproxy.main()] Some protocols failed to start"))
		if _, noted := r.faults.unbound[80]; noted != stays {
			t.Errorf("%s: noted for good: %v", reason, noted)
		}
		if r.faults.trouble == nil {
			t.Errorf("%s: nobody is told", reason)
		}
	}
}

// A HAProxy that dies again and again, or cannot be started any more, is a problem until
// one serves.
func TestAHAProxyThatDoesNotServeIsAProblem(t *testing.T) {
	s := newSide(t)
	at, folder := heddletest.FreePort(t), t.TempDir()
	s.declare(web("web", at))
	s.has(s.whoami("web", "one"))
	broken, used := filepath.Join(folder, "broken"), filepath.Join(folder, "haproxy")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no such library >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(target string) {
		beside := filepath.Join(folder, "new")
		if err := errors.Join(os.Symlink(target, beside), os.Rename(beside, used)); err != nil {
			t.Fatal(err)
		}
	}
	put(binary(t))
	lists := make(chan []proxy.Problem, 1000)
	s.run(func(cfg *Config) {
		keep := cfg.Problems
		cfg.HAProxy, cfg.Problems = used, func(list []proxy.Problem) { keep(list); lists <- list }
	})
	kill := func() (pid int) {
		for len(lists) > 0 {
			<-lists
		}
		pid = s.status.Load().PID
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	served := func(last int) {
		s.eventually("another HAProxy", func() error {
			if s.status.Load().PID == last {
				return errors.New("not yet")
			}
			return nil
		})
		s.tellsNothing()
		s.reaches(at, "", "one")
	}
	for range 2 {
		last := kill()
		if list := <-lists; len(list) != 1 || !strings.Contains(list[0].Message, "HAProxy ended, or does not start") || !strings.Contains(list[0].Message, "signal: killed") {
			t.Errorf("killed: %+v", list)
		}
		served(last)
	}
	put(broken)
	last := kill()
	s.tells("", 0, "no such library")
	put(filepath.Join(folder, "missing"))
	s.tells("", 0, "no such file")
	put(binary(t))
	served(last)
}
