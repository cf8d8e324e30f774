package discovery

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestAMachineThatCannotBeGoesWithItsRow, at the next whole listing: it is of its scope, as
// all others are.
func TestAMachineThatCannotBeGoesWithItsRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		wrong := scopeOf("a", "a1", "a2", "a3", "a4")
		wrong.VMs[0].Health, wrong.VMs[1].State, wrong.VMs[2].Name, wrong.VMs[3].PrivateIP = "weird", "weird", "\x00", "weird"
		wrong.VMs = append(wrong.VMs, scopeOf("a", "a5").VMs...)
		c.has(nil, wrong)
		_, end := refreshing(t, c, s)
		defer end()
		pass(time.Second)
		s.change(func(s *memoryShelf) {
			for key, vm := range s.vms {
				if vm.Scope != "a" || (len(vm.Faults) == 1) != (key.ID != "a5") || (vm.Name == "") != (key.ID == "a3") {
					t.Errorf("%+v", vm)
				}
			}
		})
		c.has(nil, scopeOf("a", "a5"))
		pass(12 * time.Second)
		if ids, noted := s.has(); ids != "a5" || noted.Fault() != "" || noted.LastSuccess != noted.LastRun {
			t.Errorf("the mesh has %s; %+v", ids, noted)
		}
	})
}

// TestWhatIsLoggedOfAFaultIsTrue: all that there is was listed when machines are held.
func TestWhatIsLoggedOfAFaultIsTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, log := &cloud{}, &memoryShelf{vms: map[mesh.VMKey]*mesh.VM{}}, &strings.Builder{}
		r := NewRefresher(Config{Source: Source{Name: "az", Lister: c, Pace: Pace{Interval: 10 * time.Second}}, Shelf: s, Logger: slog.New(slog.NewTextHandler(log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		c.has(nil, scopeOf("a", "a1"))
		go func() { defer close(done); r.Run(ctx) }()
		pass(time.Second)
		c.has(nil, scopeOf("a"))
		pass(12 * time.Second)
		held := log.String()
		c.has(nil, Scope{Name: "a", Err: errors.New("403")})
		pass(30 * time.Second)
		cancel()
		<-done
		if failed := log.String()[len(held):]; strings.Contains(held, "could not be listed") || !strings.Contains(held, "it lacks machines that it had") || !strings.Contains(held, "scope=a") || !strings.Contains(failed, "could not be listed as a whole") {
			t.Errorf("held: %s\nfailed: %s", held, failed)
		}
	})
}

// TestMachinesInDoubtAreToldApart from those of their scope that are listed each time, since
// they are first held, also by the next server and after the scope could not be listed.
func TestMachinesInDoubtAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		doubtful := scopeOf("a", "a1", "a2", "a3")
		doubtful.Held, doubtful.Doubt = 1, errors.New("403")
		c.has(nil, doubtful)
		_, end := refreshing(t, c, s)
		pass(time.Second)
		_, first := s.has()
		pass(30 * time.Minute)
		c.has(nil, Scope{Name: "a", Err: errors.New("500")})
		pass(3 * time.Minute)
		end()
		c.has(nil, doubtful)
		_, end = refreshing(t, c, s)
		defer end()
		pass(40 * time.Minute)
		_, noted := s.has()
		now := time.Now()
		if one := noted.Scopes[0]; one.LastSuccess.Before(now.Add(-time.Minute)) || !one.HeldSince.Equal(first.LastRun) || len(noted.Stale(now)) != 1 || !strings.HasPrefix(one.Unconfirmed(now), "1 of 3 machines have not been confirmed for 1h1") {
			t.Errorf("%+v: %s", one, one.Unconfirmed(now))
		}
		c.has(nil, scopeOf("a", "a1", "a2"))
		pass(3 * time.Minute)
		if _, noted := s.has(); len(noted.Stale(time.Now())) != 0 || !noted.Scopes[0].HeldSince.IsZero() {
			t.Errorf("%+v", noted)
		}
	})
}

// TestWhatIsForgottenDuringAListingComesBack if it is there: that listing compares with what
// was known when it began, and the refresh that was asked for with what there is then.
func TestWhatIsForgottenDuringAListingComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1"), scopeOf("b", "b1"))
		r, end := refreshing(t, c, s)
		defer end()
		pass(time.Second)
		c.has(nil, Scope{Name: "a", Err: errors.New("403")}, scopeOf("b", "b1"))
		pass(2 * time.Minute)
		c.has(nil, scopeOf("a", "a1"), scopeOf("b", "b1"))
		c.mu.Lock()
		c.takes = 10 * time.Second
		c.mu.Unlock()
		for n := len(c.times()); len(c.times()) == n; { // until a listing is under way
			pass(time.Second)
		}
		pass(5 * time.Second)
		s.change(func(s *memoryShelf) {
			for key, vm := range s.vms {
				if vm.Scope == "a" {
					delete(s.vms, key)
				}
			}
			s.revision++
		})
		r.Wake(1000)
		pass(30 * time.Second) // the listing under way, as long a rest, and the next
		if ids, noted := s.has(); ids != "a1 b1" || noted.Answered != 1000 {
			t.Errorf("the mesh has %s; %+v", ids, noted)
		}
	})
}
