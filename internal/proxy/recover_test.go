package proxy_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

// says waits for the log to hold all of the texts.
func (s *sidecar) says(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, "the log to say it", func() error {
		for _, text := range texts {
			if !strings.Contains(s.log.String(), text) {
				return fmt.Errorf("%q is missing in\n%s", text, s.log)
			}
		}
		return nil
	})
}

// A sidecar stayed dead for good when another program had its port for the
// moment in which its Envoy started again.
func TestTakenPortIsWaitedForWhenEnvoyIsStartedAgain(t *testing.T) {
	t.Parallel()
	app, port := startApplication(t), freePort(t)
	s := run(t, newConfig(t, startControlPlane(t, port, app.port), app.port))
	last := s.serving(t, 0)
	var other net.Listener
	for other == nil {
		if err := syscall.Kill(last.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, last.PID)
		var err error
		if other, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			last = s.serving(t, last.PID) // the new Envoy was faster
		}
	}
	s.says(t, "Envoy cannot be started again yet", fmt.Sprintf("--inbound-port: something else listens on 127.0.0.1:%d", port))
	other.Close()
	now := s.serving(t, last.PID)
	if _, err := get(url(now.Inbound, "/")); err != nil {
		t.Error(err)
	}
	if text := s.log.String(); strings.Contains(text, "cannot bind") {
		t.Errorf("an Envoy was started while its port was taken:\n%s", text)
	}
}

// The port may be taken between the look at it and Envoy's own attempt.
func TestEnvoyThatWasRefusedItsPortLaterIsStartedAgain(t *testing.T) {
	t.Parallel()
	app, port := startApplication(t), freePort(t)
	plane := startControlPlane(t, 0, app.port)
	s := run(t, newConfig(t, plane, app.port))
	first := s.serving(t, 0)
	other, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	plane.moveInbound(t, port)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.says(t, "starting another Envoy", fmt.Sprintf("cannot bind '127.0.0.1:%d'", port), "or choose another (--inbound-port)")
	if strings.Contains(s.log.String(), "has not given Envoy") {
		t.Errorf("the control plane is blamed:\n%s", s.log)
	}
	other.Close()
	now := s.serving(t, first.PID)
	if uint32(now.Inbound.Port()) != port {
		t.Errorf("it listens on %s", now.Inbound)
	}
	if _, err := get(url(now.Inbound, "/")); err != nil {
		t.Error(err)
	}
}

func TestHungEnvoyIsKilledAndReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the 15 seconds that it may hang")
	}
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, freePort(t), app.port), app.port))
	first := s.serving(t, 0)
	if err := syscall.Kill(first.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.serving(t, first.PID)
	s.says(t, "hung, and was killed")
	gone(t, first.PID)
	if err := differs([]string{"register 1 healthy", "mark 1 unhealthy", "mark 1 healthy"}, s.registrar.History()); err != nil {
		t.Error(err)
	}
}

func TestWrongControlPlaneIsNamed(t *testing.T) {
	rest := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(rest.Close)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	nobody := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cases := map[string]struct{ address, want string }{
		"nobody":            {nobody, "no control plane answers at " + nobody + " (--xds)"},
		"the REST API":      {strings.TrimPrefix(rest.URL, "http://"), "does not speak gRPC"},
		"a port that hangs": {mute.Addr().String(), "does not speak gRPC"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := run(t, newConfig(t, &controlPlane{address: c.address}, 8080))
			s.says(t, c.want)
		})
	}
}

func TestSameWarningOfEnvoyIsLoggedOnce(t *testing.T) {
	t.Parallel()
	const warning = "closed: 5, service orders is not declared"
	app := startApplication(t)
	plane := startControlPlane(t, 0, app.port)
	plane.refuse(errors.New("service orders is not declared"))
	s := run(t, newConfig(t, plane, app.port))
	s.says(t, warning, "answers, and has not given Envoy its configuration: is service \\\"orders\\\" declared?")
	plane.refuse(nil)
	s.serving(t, 0)
	s.says(t, "Envoy no longer says this")
	warned := 0
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, warning) && strings.Contains(line, "level=WARN") {
			warned++
		}
	}
	if warned != 1 {
		t.Errorf("it was logged %d times:\n%s", warned, s.log)
	}
}

func TestLogLeavesOutTheListenerThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := run(t, newConfig(t, startControlPlane(t, 0, 0), 0))
	s.serving(t, 0)
	if text := s.log.String(); !strings.Contains(text, "outbound=127.0.0.1:") || strings.Contains(text, "inbound=") || strings.Contains(text, "invalid AddrPort") {
		t.Errorf("the log:\n%s", text)
	}
}
