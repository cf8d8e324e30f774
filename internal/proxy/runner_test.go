package proxy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSidecarServesAndLeavesInOrder(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	s := run(t, newConfig(t, startControlPlane(t, 0, app.port), app.port))
	status := s.serving(t, 0)
	if got := s.registrar.Instance(); got == nil || got.Address != "127.0.0.1" || got.Port == 0 || uint16(got.Port) != status.Inbound.Port() {
		t.Fatalf("registered is %+v, Envoy listens on %s", got, status.Inbound)
	}
	if body, err := get(url(status.Inbound, "/")); err != nil || body != "hello" {
		t.Fatalf("%q, %v", body, err)
	}

	slow := make(chan error, 1)
	go func() { _, err := get(url(status.Inbound, "/slow")); slow <- err }()
	<-app.entered
	s.stop()
	eventually(t, "the instance to drain", func() error {
		return differs([]string{"register 1 healthy", "mark 1 draining"}, s.registrar.History())
	})
	if _, err := get(url(status.Inbound, "/")); err != nil {
		t.Errorf("a caller that has not heard of it yet: %v", err)
	}
	close(app.release)
	if err := <-slow; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	if err := s.wait(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := differs([]string{"register 1 healthy", "mark 1 draining", "deregister 1"}, s.registrar.History()); err != nil {
		t.Error(err)
	}
	gone(t, status.PID)
}

func differs(want, got []string) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return differences(diff)
	}
	return nil
}

type differences string

func (d differences) Error() string { return "(-want +got):\n" + string(d) }
