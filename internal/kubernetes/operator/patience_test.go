package operator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// What does not come is asked for less and less often.
func TestPatience(t *testing.T) {
	var p patience
	var o object
	about := func(got, want time.Duration) {
		t.Helper()
		if got < want*3/4 || got > want*5/4 {
			t.Errorf("waits %s, not about %s", got, want)
		}
	}
	for _, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, mostPause, mostPause} {
		about(p.next(o, "the server", 2*time.Second), want)
	}
	about(p.next(o, "proxies", 300*time.Millisecond), 300*time.Millisecond)
	about(p.next(o, "proxies", 300*time.Millisecond), 600*time.Millisecond)
	p.forget(o)
	about(p.next(o, "proxies", 300*time.Millisecond), 300*time.Millisecond)
	if len(p.waiting) != 1 {
		t.Errorf("%d objects wait", len(p.waiting))
	}
}

// A status that differs with each try would be written, and seen as a change, each time.
func TestTheStatusDoesNotSayWhatChanges(t *testing.T) {
	went := refused(mesh.Unavailable(errors.New("read tcp 10.0.0.1:50123->10.0.0.2:7443: connection reset"), "the server cannot be reached"))
	if went.message != "the server cannot be reached" || !went.unknown {
		t.Errorf("%+v", went)
	}
	if went := refused(mesh.Invalid("service \"web\"", mesh.Faults{{Path: "owner", Message: "is missing"}})); !strings.Contains(went.message, "owner") {
		t.Errorf("%+v", went)
	}
}
