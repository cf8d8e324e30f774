package operator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
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
		about(p.next(o, "the server", 2*time.Second, mostPause), want)
	}
	about(p.next(o, "proxies", 300*time.Millisecond, mostPause), 300*time.Millisecond)
	about(p.next(o, "proxies", 300*time.Millisecond, mostPause), 600*time.Millisecond)
	for range 20 {
		if got := p.next(o, "a server that is away", firstPause, awayPause); got > 10*time.Second {
			t.Errorf("waits %s although the server may be back", got)
		}
	}
	p.forget(o)
	about(p.next(o, "proxies", 300*time.Millisecond, mostPause), 300*time.Millisecond)
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

// While the mirror does not show a set that was sent, it is not sent again; a change that
// came behind it is seen at once.
func TestASetUnderWayIsNotSentAgain(t *testing.T) {
	wanted := map[mesh.InstanceID]uint64{"a": 1}
	d := &discovery{mirror: newMirror(), sent: map[mesh.ServiceName]sentSet{"orders": {set: wanted, revision: 7, at: time.Now()}, "old": {set: wanted, revision: 7, at: time.Now().Add(-mirrorLag)}}}
	for name, test := range map[string]struct {
		service mesh.ServiceName
		wanted  map[mesh.InstanceID]uint64
		seen    int64
		waits   bool
	}{
		"the mirror is behind":     {"orders", wanted, 6, true},
		"it shows a part":          {"orders", wanted, 7, true},
		"somebody changed it":      {"orders", wanted, 8, false},
		"something else is wanted": {"orders", nil, 6, false},
		"it was long ago":          {"old", wanted, 6, false},
		"nothing was sent":         {"new", wanted, 6, false},
	} {
		d.mirror.take(client.Event{Type: client.EventChange, Revision: test.seen})
		if got := d.underway(test.service, test.wanted); (got > 0) != test.waits {
			t.Errorf("%s: it waits %s", name, got)
		}
	}
}
