package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/lease/leasetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestKilledEnvoyIsStartedAgainAndTheInstanceIsOutMeanwhile(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, 0, app.port), app.port))
	first := s.serving(t, 0)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := s.serving(t, first.PID)
	if _, err := get(url(second.Inbound, "/")); err != nil {
		t.Error(err)
	}
	// The inbound port is a free one, so it changes with each Envoy: that takes a
	// new registration. With a fixed port the instance would be marked healthy.
	if err := differs([]string{"register 1 healthy", "mark 1 unhealthy", "register 2 healthy"}, s.registrar.History()); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(second.PID, syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	third := s.serving(t, second.PID)
	s.stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{first.PID, second.PID, third.PID} {
		gone(t, pid)
	}
}

func TestEnvoyKilledAtAFixedPortKeepsItsRegistration(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, freePort(t), app.port), app.port))
	first := s.serving(t, 0)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.serving(t, first.PID)
	if err := differs([]string{"register 1 healthy", "mark 1 unhealthy", "mark 1 healthy"}, s.registrar.History()); err != nil {
		t.Error(err)
	}
}

func TestLostRegistrationIsMadeAgain(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, 0, app.port), app.port))
	status := s.serving(t, 0)
	s.registrar.Lose()
	eventually(t, "the second registration to be reported", func() error {
		if now := s.lastStatus(); now.Epoch != "2" || now.PID != status.PID {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
}

func TestTrafficGoesOnWhileTheControlPlaneIsAway(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, 0, app.port), app.port))
	status := s.serving(t, 0)
	failed := make(chan struct{}, 1024)
	s.registrar.Fail(func(context.Context) error {
		select {
		case failed <- struct{}{}:
		default:
		}
		return mesh.Unavailable(nil, "down")
	})
	for range 3 {
		<-failed
		if _, err := get(url(status.Inbound, "/")); err != nil {
			t.Fatal(err)
		}
	}
	s.registrar.Lose()
	s.registrar.Fail(nil)
	eventually(t, "the instance to be registered again", func() error {
		return differs([]string{"register 1 healthy", "register 2 healthy"}, s.registrar.History())
	})
	if now := s.lastStatus().PID; now != status.PID {
		t.Errorf("Envoy was replaced: %d, then %d", status.PID, now)
	}
}

func TestLeavingIsBoundedWhileTheControlPlaneIsAway(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	config := newConfig(t, startControlPlane(t, 0, app.port), app.port)
	config.DrainTimeout = 500 * time.Millisecond
	s := run(t, config)
	status := s.serving(t, 0)
	s.registrar.Fail(leasetest.Unreachable)
	began := time.Now()
	s.stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	gone(t, status.PID)
}

// The control plane cannot tell callers; that nothing listens any more does.
func TestLeavingWithoutTheControlPlaneRefusesConnectionsAndFinishesRequests(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, 0, app.port), app.port))
	status := s.serving(t, 0)
	slow := make(chan error, 1)
	go func() { _, err := get(url(status.Inbound, "/slow")); slow <- err }()
	<-app.entered
	s.registrar.Fail(leasetest.Unreachable)
	s.stop()
	eventually(t, "connections to be refused", func() error {
		if _, err := get(url(status.Inbound, "/")); !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("answered: %w", err)
		}
		return nil
	})
	close(app.release)
	if err := <-slow; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestDrainTimeoutEndsARequestThatNeverEnds(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	config := newConfig(t, startControlPlane(t, 0, app.port), app.port)
	config.DrainTimeout = 500 * time.Millisecond
	s := run(t, config)
	status := s.serving(t, 0)
	slow := make(chan error, 1)
	go func() { _, err := get(url(status.Inbound, "/slow")); slow <- err }()
	<-app.entered
	s.stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if err := <-slow; err == nil {
		t.Error("the request has an answer")
	}
	if err := differs([]string{"register 1 healthy", "mark 1 draining", "deregister 1"}, s.registrar.History()); err != nil {
		t.Error(err)
	}
}

func TestHurryCutsTheDrainShort(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	config := newConfig(t, startControlPlane(t, 0, app.port), app.port)
	config.DrainTimeout = time.Hour
	s := run(t, config)
	status := s.serving(t, 0)
	slow := make(chan error, 1)
	go func() { _, err := get(url(status.Inbound, "/slow")); slow <- err }()
	<-app.entered
	s.stop()
	eventually(t, "the instance to drain", func() error {
		return differs([]string{"register 1 healthy", "mark 1 draining"}, s.registrar.History())
	})
	close(s.hurry)
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if err := <-slow; err == nil {
		t.Error("the request has an answer")
	}
	if s.registrar.Instance() != nil {
		t.Error("still registered")
	}
	gone(t, status.PID)
}

func TestRegistrationIsOnlyMadeWhenTheApplicationListens(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	config := newConfig(t, startControlPlane(t, 0, port), port)
	var err error
	if config.AppReady, err = proxy.ParseAppCheck("", config.Bootstrap.Proxy); err != nil {
		t.Fatal(err)
	}
	s := run(t, config)
	eventually(t, "the log to say what it waits for", func() error {
		if !strings.Contains(s.log.String(), "the application is not ready") {
			return errors.New(s.log.String())
		}
		return nil
	})
	if got := s.registrar.History(); len(got) != 0 {
		t.Fatalf("registered before: %v", got)
	}
	listen(t, port)
	s.serving(t, 0)
}

func TestApplicationThatFailsItsCheckIsTakenOutAndPutBack(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	sick := make(chan bool, 1)
	health := startHealth(t, sick)
	config := newConfig(t, startControlPlane(t, 0, app.port), app.port)
	var err error
	if config.AppReady, err = proxy.ParseAppCheck(health+"/healthz", config.Bootstrap.Proxy); err != nil {
		t.Fatal(err)
	}
	s := run(t, config)
	s.serving(t, 0)
	sick <- true
	eventually(t, "the instance to be taken out", func() error {
		return differs([]string{"register 1 healthy", "mark 1 unhealthy"}, s.registrar.History())
	})
	<-sick
	eventually(t, "the instance to be put back", func() error {
		return differs([]string{"register 1 healthy", "mark 1 unhealthy", "mark 1 healthy"}, s.registrar.History())
	})
}

func TestWorkloadThatOnlyCallsIsNotRegistered(t *testing.T) {
	t.Parallel()
	s := run(t, newConfig(t, startControlPlane(t, 0, 0), 0))
	status := s.serving(t, 0)
	if !status.Outbound.IsValid() || status.Inbound.IsValid() || status.Epoch != "" {
		t.Errorf("status %+v", status)
	}
	s.stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if got := s.registrar.History(); len(got) != 0 {
		t.Errorf("registered: %v", got)
	}
	gone(t, status.PID)
}

func TestStopBeforeThereIsAControlPlane(t *testing.T) {
	t.Parallel()
	config := newConfig(t, &controlPlane{address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}, 8080)
	s := run(t, config)
	eventually(t, "Envoy to start", func() error {
		if !strings.Contains(s.log.String(), "Envoy started") {
			return errors.New("not yet")
		}
		return nil
	})
	s.stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if got := s.registrar.History(); len(got) != 0 {
		t.Errorf("registered: %v", got)
	}
}

// listen takes a port until the test ends.
func listen(t *testing.T, port uint32) {
	t.Helper()
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
}

// startHealth answers 200, or 503 for as long as there is something in sick.
func startHealth(t *testing.T, sick <-chan bool) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if len(sick) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
