package haproxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// Copies come, go, drain and fall ill under load: no request fails, and HAProxy is never
// reloaded.
func TestCopiesComeAndGoWithoutAReload(t *testing.T) {
	s := newSide(t)
	at := heddletest.FreePort(t)
	copies := make([]mesh.Instance, 12)
	for i := range copies {
		copies[i] = s.whoami("web", mesh.InstanceID(fmt.Sprint("copy-", i)))
	}
	s.declare(web("web", at))
	s.has(copies[0])
	s.run(nil)
	s.reaches(at, "", "copy-0")
	before := s.processes()
	l := s.load(at, "")
	for i := range 24 {
		next, last := copies[(i+1)%len(copies)], copies[i%len(copies)]
		s.has(next)
		s.reaches(at, "", string(last.ID), string(next.ID))
		switch i % 3 {
		case 0:
			last.Health = mesh.Draining
			s.has(last)
		case 1:
			last.Health = mesh.Unhealthy
			s.has(last)
		}
		if i%3 < 2 {
			s.reaches(at, "", string(next.ID))
		}
		s.without(last)
		s.reaches(at, "", string(next.ID))
	}
	l.more(t, 200)
	l.endsWithoutFailure(t)
	if now := s.processes(); !slices.Equal(now.workers, before.workers) || now.reloads != before.reloads {
		t.Errorf("HAProxy was reloaded: %+v, before %+v", now, before)
	}
}

// A service more, and more copies than slots, take one reload each, in which no request
// fails, and what left before does not come back by them.
func TestAReloadLosesNothing(t *testing.T) {
	s := newSide(t)
	at, other := heddletest.FreePort(t), heddletest.FreePort(t)
	one, two := s.whoami("web", "one"), s.whoami("web", "two")
	s.declare(web("web", at))
	s.has(one)
	s.has(two)
	s.run(func(cfg *Config) { cfg.ReloadInterval = 10 * time.Millisecond })
	s.reaches(at, "web", "one", "two")
	s.without(two)
	s.reaches(at, "web", "one")
	l := s.load(at, "web")
	l.more(t, 100)
	s.declare(web("late", other))
	late := s.whoami("late", "late")
	s.has(late)
	s.reaches(other, "", "late")
	s.reaches(s.port, "late.mesh", "late")
	if now := s.processes(); now.reloads != 1 {
		t.Errorf("%d reloads for a service", now.reloads)
	}
	s.reaches(at, "web", "one")
	names := []string{"one"}
	for i := range leastSlots {
		name := fmt.Sprint("more-", i)
		s.has(s.whoami("web", mesh.InstanceID(name)))
		names = append(names, name)
	}
	s.reaches(at, "web", names...)
	if now := s.processes(); now.reloads != 2 {
		t.Errorf("%d reloads when slots ran out once", now.reloads)
	}
	delete(s.services, "late")
	s.apply([]mesh.Change{{Service: &mesh.Service{Name: "late"}, Deleted: true}})
	s.eventually("a service to be gone", func() error {
		status, body := s.answer(s.port, "late")
		if _, err := net.Dial("tcp", heddletest.Loopback(other)); err == nil || status != http.StatusNotFound || !strings.Contains(body, `runs a service "late"`) {
			return fmt.Errorf("%d %s, %w", status, body, err)
		}
		return nil
	})
	l.more(t, 100)
	l.endsWithoutFailure(t)
}

// Twenty services that come in a burst take few reloads.
func TestABurstIsFewReloads(t *testing.T) {
	s := newSide(t)
	s.run(func(cfg *Config) { cfg.ReloadInterval = 300 * time.Millisecond })
	for i := range 20 {
		name := fmt.Sprint("web-", i)
		s.declare(web(mesh.ServiceName(name), 0))
		s.has(s.whoami(mesh.ServiceName(name), mesh.InstanceID(name)))
	}
	for i := range 20 {
		name := fmt.Sprint("web-", i)
		s.reaches(s.port, name, name)
	}
	if now := s.processes(); now.reloads < 1 || now.reloads > 3 {
		t.Errorf("%d reloads", now.reloads)
	}
}

func TestWhoCannotBeServedIsTold(t *testing.T) {
	s := newSide(t)
	at := heddletest.FreePort(t)
	s.declare(web("web", at), mesh.Service{Name: "db", Protocol: mesh.TCP, ListenerPort: heddletest.FreePort(t)}, web("dead", 0))
	s.has(copyAt("dead", "a", "127.0.0.1", heddletest.FreePort(t)))
	s.has(copyAt("dead", "b", "127.0.0.1", heddletest.FreePort(t)))
	s.run(nil)
	ill := s.whoami("web", "ill")
	ill.Health = mesh.Unhealthy
	s.has(ill)
	for name, want := range map[string]string{
		"web":       "503 heddle: no copy of service web is ready\n",
		"WEB.mesh.": "503 heddle: no copy of service web is ready\n",
		"nowhere":   "404 heddle: no host of the fleet runs a service \"nowhere\" that this host serves\n",
		"db":        "421 heddle: service db speaks tcp",
		"dead":      "503 heddle: no copy of service dead could be reached\n",
		"..":        "404 heddle: no host of the fleet runs a service \".\" that this host serves\n",
	} {
		if status, body := s.answer(s.port, name); !strings.HasPrefix(fmt.Sprint(status, " ", body), want) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := s.answer(at, "anything"); status != 503 || !strings.Contains(body, "no copy of service web") {
		t.Errorf("%d %s", status, body)
	}
}

// A call whose copy cannot be connected goes to another one, whatever its method.
func TestACopyThatIsDeadIsPassedOver(t *testing.T) {
	s := newSide(t)
	at := heddletest.FreePort(t)
	s.declare(web("web", at))
	s.has(s.whoami("web", "lives"))
	s.has(copyAt("web", "dead", "127.0.0.1", heddletest.FreePort(t)))
	s.run(nil)
	for range 10 {
		response, err := http.Post("http://"+heddletest.Loopback(at), "text/plain", strings.NewReader("x")) //nolint:noctx // the test's time bounds it
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A port that another process has keeps its service from that port, and from nothing
// else, until it is free.
func TestAPortOfAnothersSpoilsNothing(t *testing.T) {
	for _, when := range []string{"at the start", "later"} {
		t.Run(when, func(t *testing.T) {
			s := newSide(t)
			thief, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer thief.Close()
			taken := mesh.Port(thief.Addr().(*net.TCPAddr).Port)
			at := heddletest.FreePort(t)
			s.declare(web("web", at))
			s.has(s.whoami("web", "web"))
			if when == "later" {
				s.run(nil)
				s.reaches(at, "", "web")
			}
			l := &load{stop: func() {}}
			if when == "later" {
				l = s.load(at, "")
			}
			s.declare(web("other", taken))
			s.has(s.whoami("other", "other"))
			if when != "later" {
				s.run(nil)
			}
			s.reaches(at, "", "web")
			s.reaches(s.port, "other", "other")
			s.tells("other", taken, fmt.Sprintf("something else listens on 127.0.0.1:%d already", taken))
			thief.Close()
			s.reaches(taken, "", "other")
			s.tellsNothing()
			l.endsWithoutFailure(t)
		})
	}
}

// A port that this program could have and HAProxy cannot, which lacks the right to it: HAProxy
// would refuse all for it, at the start and at each reload.
func TestAPortThatHAProxyMayNotHave(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("this user may not have such a port either")
	}
	for _, when := range []string{"at the start", "later"} {
		t.Run(when, func(t *testing.T) {
			s := newSide(t)
			binary := binary(t)
			if os.Geteuid() == 0 {
				binary = script(t, "exec setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service "+binary+` "$@"`)
			}
			low := privileged(t)
			at := heddletest.FreePort(t)
			s.declare(web("web", at))
			s.has(s.whoami("web", "web"))
			if when != "later" {
				s.declare(web("low", low))
			}
			s.run(func(cfg *Config) { cfg.HAProxy, cfg.ReloadInterval = binary, 10*time.Millisecond })
			if when == "later" {
				s.declare(web("low", low))
			}
			s.has(s.whoami("low", "low"))
			s.tells("low", low, "ermi")
			s.reaches(at, "", "web")
			s.reaches(s.port, "low", "low")
			gone := s.services["low"]
			delete(s.services, "low")
			s.apply([]mesh.Change{{Service: &gone, Deleted: true}})
			s.tellsNothing()
		})
	}
}

// privileged gives a free port that only some users may have.
func privileged(t *testing.T) mesh.Port {
	for port := mesh.Port(600); port < 1024; port++ {
		if fault := proxy.PortFault("127.0.0.1", port); !strings.Contains(fault, "something else") {
			return port
		}
	}
	t.Fatal("all privileged ports are taken")
	return 0
}

// An HAProxy that refused to change its servers right after a reload stayed unlike what was
// wanted until something else changed.
func TestRefusedChangesAreMended(t *testing.T) {
	s := newSide(t)
	folder := t.TempDir()
	// The real one, that does not know its servers by their names after one reload.
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = -c ] && rm %s/once 2>/dev/null; then sed -i 's/server s/server x/' \"$4\"; fi\nexec %s \"$@\"\n", folder, binary(t))
	if err := os.WriteFile(folder+"/haproxy", []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	s.run(func(cfg *Config) { cfg.HAProxy = folder + "/haproxy" })
	if err := os.WriteFile(folder+"/once", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := heddletest.FreePort(t)
	late, stays, ends := web("web", at), s.whoami("web", "stays"), s.whoami("web", "ends")
	ends.Health = mesh.Draining // by a command, once it is loaded
	s.services["web"] = late
	s.apply([]mesh.Change{{Service: &late}, {Instance: &stays}, {Instance: &ends}})
	s.eventually("another reload", func() error {
		if now := s.processes(); now.reloads != 2 {
			return fmt.Errorf("%d reloads", now.reloads)
		}
		return nil
	})
	s.reaches(at, "", "stays")
	if got := strings.Count(s.log.String(), "HAProxy does not change its servers"); got != 1 {
		t.Errorf("it refused %d times", got)
	}
}

// Whichever process of HAProxy's dies, another HAProxy serves what there is by then.
func TestACrashIsMended(t *testing.T) {
	s := newSide(t)
	at := heddletest.FreePort(t)
	s.declare(web("web", at))
	one, two := s.whoami("web", "one"), s.whoami("web", "two")
	s.has(one)
	s.run(nil)
	s.reaches(at, "", "one")
	s.has(two)
	s.reaches(at, "", "one", "two")
	first := s.status.Load().PID
	if err := syscall.Kill(s.processes().workers[0].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.eventually("another HAProxy", func() error {
		if s.status.Load().PID == first {
			return errors.New("not yet")
		}
		return nil
	})
	s.reaches(at, "", "one", "two")
	second := s.status.Load().PID
	worker := s.processes().workers[0].pid
	if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.without(one)
	s.eventually("another HAProxy", func() error {
		if s.status.Load().PID == second {
			return errors.New("not yet")
		}
		return nil
	})
	s.reaches(at, "", "two")
	s.eventually("the dead master's worker to end", func() error {
		if err := syscall.Kill(worker, 0); err == nil && !zombie(worker) {
			return errors.New("it is there")
		}
		return nil
	})
}
