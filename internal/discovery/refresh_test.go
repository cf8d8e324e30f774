package discovery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// cloud is a source whose answers tests choose.
type cloud struct {
	mu     sync.Mutex
	scopes []Scope         // guarded by mu
	fails  error           // guarded by mu
	takes  time.Duration   // guarded by mu
	asked  []time.Duration // since the test began; guarded by mu
	known  int             // machines that it was told of at the latest listing; guarded by mu
	each   map[string]int  // how often each scope was asked; guarded by mu
	began  time.Time
}

func (c *cloud) List(ctx context.Context, rest Rest, known Known) (Listing, error) {
	c.mu.Lock()
	c.known = len(known)
	c.asked = append(c.asked, time.Since(c.began))
	takes := c.takes
	c.mu.Unlock()
	if !sleep(ctx, takes) {
		return Listing{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Listing{Cost: Cost{Calls: len(c.scopes)}}
	for _, one := range c.scopes {
		if rest[one.Name] {
			out.Calls--
			out.Scopes = append(out.Scopes, Scope{Name: one.Name, Rests: true})
			continue
		}
		if c.each == nil {
			c.each = map[string]int{}
		}
		c.each[one.Name]++
		one.VMs = slices.Clone(one.VMs)
		out.Scopes = append(out.Scopes, one)
	}
	return out, c.fails
}

func (c *cloud) timesOf(scope string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.each[scope]
}

// has sets what the source has from now on.
func (c *cloud) has(err error, scopes ...Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scopes, c.fails = scopes, err
}

func (c *cloud) times() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// memoryShelf is a registry in memory, with faults.
type memoryShelf struct {
	mu       sync.Mutex
	vms      map[mesh.VMKey]*mesh.VM // guarded by mu
	noted    mesh.DiscoverySource    // guarded by mu
	revision int64                   // guarded by mu
	writes   int                     // guarded by mu
	cut      int                     // after how many machines a write breaks off, 0: none; guarded by mu
	away     error                   // guarded by mu
	silent   error                   // of Noted; guarded by mu
	looked   []time.Time             // when Known was asked; guarded by mu
}

func (s *memoryShelf) Known(context.Context, string) (Known, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = append(s.looked, time.Now())
	return maps.Clone(s.vms), s.away
}

func (s *memoryShelf) Write(_ context.Context, put []mesh.VM, gone []mesh.VMKey) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for i := range put {
		if s.cut > 0 && i == s.cut {
			return s.revision, errors.New("etcd is away")
		}
		s.revision++
		s.vms[put[i].Key()] = &put[i]
	}
	for _, key := range gone {
		s.revision++
		delete(s.vms, key)
	}
	return s.revision, nil
}

func (s *memoryShelf) Noted(context.Context, string) (mesh.DiscoverySource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noted, s.silent
}

func (s *memoryShelf) Note(_ context.Context, source mesh.DiscoverySource) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = source
	s.noted.Scopes = slices.Clone(source.Scopes)
	return nil
}

func (s *memoryShelf) change(f func(*memoryShelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *memoryShelf) has() (ids string, noted mesh.DiscoverySource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for key := range s.vms {
		list = append(list, key.ID)
	}
	slices.Sort(list)
	return strings.Join(list, " "), s.noted
}

// refreshing runs a refresher, in a synctest, that asks every ten seconds.
func refreshing(t *testing.T, c *cloud, s *memoryShelf) (r *Refresher, end func()) {
	if s.vms == nil {
		s.vms = map[mesh.VMKey]*mesh.VM{}
	}
	c.began = time.Now()
	r = NewRefresher(Config{Source: Source{Name: "az", Kind: "test", Lister: c, Pace: Pace{Interval: 10 * time.Second, Longest: 80 * time.Second}}, Shelf: s, Server: "here"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	return r, func() { cancel(); <-done }
}

// pass lets time pass, and all that is due in it.
func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func scopeOf(name string, ids ...string) Scope {
	one := Scope{Name: name}
	for _, id := range ids {
		one.VMs = append(one.VMs, vm(name, id))
	}
	return one
}

// near says whether asked at about, by the tenth that jitter makes of each wait.
func near(got, want time.Duration) bool { return got > want*8/10 && got < want*12/10 }

// TestWhatFailsToBeListedStays, and is told, scope by scope; what was whole is told too.
func TestWhatFailsToBeListedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1", "a2"), scopeOf("b", "b1"))
		_, end := refreshing(t, c, s)
		defer end()
		pass(time.Second)
		ids, noted := s.has()
		if ids != "a1 a2 b1" || noted.VMs != 3 || noted.Calls != 2 || noted.Server != "here" || noted.Kind != "test" || noted.LastSuccess != noted.LastRun || noted.Version == 0 || len(noted.Scopes) != 2 {
			t.Fatalf("it has %s, noted %+v", ids, noted)
		}
		whole := noted.LastSuccess
		c.has(nil, Scope{Name: "a", Err: errors.New("403 Forbidden")}, scopeOf("b", "b2"))
		pass(11 * time.Second)
		ids, noted = s.has()
		if ids != "a1 a2 b2" || noted.LastSuccess != whole || noted.VMs != 3 || noted.Scopes[0].Error != "403 Forbidden" || noted.Scopes[0].VMs != 2 || noted.Scopes[1].Error != "" || !noted.Scopes[1].LastSuccess.After(whole) {
			t.Fatalf("it has %s, noted %+v", ids, noted)
		}
		c.has(errors.New("no token"))
		pass(30 * time.Second)
		if ids, noted = s.has(); ids != "a1 a2 b2" || noted.Error != "no token" || noted.LastSuccess != whole {
			t.Fatalf("it has %s, noted %+v", ids, noted)
		}
		c.has(nil, scopeOf("a", "a1"), scopeOf("b", "b2"))
		pass(90 * time.Second)
		if ids, noted = s.has(); ids != "a1 b2" || noted.Error != "" || noted.Scopes[0].Error != "" || noted.LastSuccess != noted.LastRun || !noted.NextRun.After(noted.LastRun) {
			t.Fatalf("it has %s, noted %+v", ids, noted)
		}
	})
}

// TestASourceIsToldWhatIsKnown, by the server before too, and says what may not be gone.
func TestASourceIsToldWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		s.vms = known(vm("a", "a1"), vm("a", "a2"))
		doubtful := scopeOf("a", "a1", "a2")
		doubtful.Held, doubtful.Doubt = 1, &Throttled{After: 20 * time.Second, Err: errors.New("429")}
		c.has(nil, doubtful)
		_, end := refreshing(t, c, s)
		defer end()
		pass(time.Second)
		ids, noted := s.has()
		if ids != "a1 a2" || !noted.LastSuccess.IsZero() || noted.Scopes[0].Held != 1 || noted.Scopes[0].Error != "429" || noted.NextRun.Sub(noted.LastRun) < 20*time.Second {
			t.Fatalf("it has %s, noted %+v", ids, noted)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.known != 2 {
			t.Errorf("the source was told of %d machines", c.known)
		}
	})
}

// TestAWriteThatBrokeOffIsCompleted by the next refresh, which comes no later for it.
func TestAWriteThatBrokeOffIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{cut: 1}
		c.has(nil, scopeOf("a", "a1", "a2", "a3"))
		_, end := refreshing(t, c, s)
		defer end()
		pass(time.Second)
		if ids, noted := s.has(); ids != "a1" || noted.Error != "etcd is away" || !noted.LastSuccess.IsZero() {
			t.Fatalf("it has %q, noted %+v", ids, noted)
		}
		s.change(func(s *memoryShelf) { s.cut = 0 })
		pass(11 * time.Second)
		if ids, noted := s.has(); ids != "a1 a2 a3" || noted.Error != "" || noted.LastSuccess.IsZero() {
			t.Fatalf("it has %q, noted %+v", ids, noted)
		}
		before := s.writes
		pass(5 * time.Minute)
		if s.writes != before {
			t.Errorf("%d writes while nothing changed", s.writes-before)
		}
	})
}

// TestABurstOfWakesIsLookedAtOnce, a second later, and what comes during a look once more.
func TestABurstOfWakesIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1"))
		r, end := refreshing(t, c, s)
		defer end()
		pass(3 * time.Second)
		for range 20 {
			r.Wake(r.asked.Load() + 1)
			pass(20 * time.Millisecond)
		}
		c.has(nil, scopeOf("a", "a1", "a2"))
		pass(2 * time.Second)
		if ids, _ := s.has(); ids != "a1 a2" || len(c.times()) != 2 {
			t.Fatalf("it has %q, and was asked at %v", ids, c.times())
		}
		if at := c.times()[1]; at != 4*time.Second {
			t.Errorf("asked %s after the test began, want a second after the first wake", at)
		}
		pass(6 * time.Second)
		if n := len(c.times()); n != 2 {
			t.Errorf("asked %d times: a wake of the burst was left over", n)
		}
	})
}

// TestARequestIsAnsweredOnce, by a refresh that began after it: also by the next server,
// which hears of it again.
func TestARequestIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{takes: 3 * time.Second}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1", "a2"))
		r, end := refreshing(t, c, s)
		pass(time.Second)
		r.Wake(7) // while it is asking
		pass(2500 * time.Millisecond)
		if _, noted := s.has(); noted.Answered != 0 || noted.Written != 2 || noted.Removed != 0 {
			t.Fatalf("noted %+v", noted)
		}
		c.has(nil, scopeOf("a", "a1"))
		pass(7 * time.Second)
		if _, noted := s.has(); noted.Answered != 7 || noted.Written != 0 || noted.Removed != 1 {
			t.Fatalf("noted %+v", noted)
		}
		end()
		before := len(c.times())
		r, end = refreshing(t, c, s)
		defer end()
		pass(time.Second)
		r.Wake(7)
		pass(7 * time.Second)
		if _, noted := s.has(); noted.Answered != 7 || len(c.times()) != before+1 {
			t.Errorf("the next server asked %d times for it, noted %+v", len(c.times())-before, noted)
		}
	})
}

// TestWhoIsWokenAllTheTimeRests as long as it asks: sources have limits.
func TestWhoIsWokenAllTheTimeRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{takes: 4 * time.Second}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1"))
		r, end := refreshing(t, c, s)
		defer end()
		for range 200 {
			r.Wake(r.asked.Load() + 1)
			pass(400 * time.Millisecond)
		}
		if n := len(c.times()); n < 9 || n > 11 {
			t.Errorf("asked %d times in 80 s of wakes, want each 8 s: %v", n, c.times())
		}
	})
}

// TestWhatASourceAsksForIsWaited, also by who is woken, if all of it asks for that: by
// the scope that is ready first.
func TestWhatASourceAsksForIsWaited(t *testing.T) {
	slow := &Throttled{After: 3 * time.Minute, Err: errors.New("429 Too Many Requests")}
	slower := &Throttled{After: 20 * time.Minute, Err: errors.New("429 Too Many Requests")}
	for name, is := range map[string]struct {
		fails  error
		scopes []Scope
	}{
		"the whole":  {slow, nil},
		"each scope": {nil, []Scope{{Name: "a", Err: slow}, {Name: "b", Err: slower}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := &cloud{}, &memoryShelf{}
				c.has(is.fails, is.scopes...)
				r, end := refreshing(t, c, s)
				defer end()
				pass(time.Minute)
				r.Wake(r.asked.Load() + 1)
				pass(119 * time.Second)
				if n := len(c.times()); n != 1 {
					t.Fatalf("asked %d times although the source wants three minutes: %v", n, c.times())
				}
				c.has(nil, scopeOf("a", "a1"), scopeOf("b", "b1"))
				pass(2 * time.Second)
				if ids, _ := s.has(); !strings.HasPrefix(ids, "a1") || len(c.times()) != 2 {
					t.Errorf("it has %q, and was asked at %v", ids, c.times())
				}
			})
		})
	}
}

// TestOneScopeThatIsThrottledHoldsUpNoOther: it is left out until its time, woken or not,
// by the next server too; it keeps its machines, and its status says until when.
func TestOneScopeThatIsThrottledHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1"), scopeOf("b", "b1"))
		r, end := refreshing(t, c, s)
		pass(time.Second)
		slow := &Throttled{After: 10 * time.Minute, Err: errors.New("429 Too Many Requests")}
		c.has(nil, Scope{Name: "a", Err: slow}, scopeOf("b", "b1"))
		pass(11 * time.Second)
		until := time.Now().Add(10 * time.Minute)
		for i, other := range []string{"b2", "b3", "b4"} {
			c.has(nil, scopeOf("a", "a9"), scopeOf("b", other))
			pass(15 * time.Second)
			if i == 1 {
				r.Wake(r.asked.Load() + 1)
				pass(2 * time.Second)
			}
			ids, noted := s.has()
			if ids != "a1 "+other || noted.VMs != 2 || noted.LastRun.Equal(noted.LastSuccess) {
				t.Fatalf("it has %q, noted %+v", ids, noted)
			}
			if is := noted.Scopes[0]; is.VMs != 1 || is.Error != slow.Error() || is.NotBefore.Sub(until).Abs() > 12*time.Second || !noted.Scopes[1].NotBefore.IsZero() || noted.Scopes[1].Error != "" {
				t.Fatalf("noted %+v", noted.Scopes)
			}
			if said := noted.Fault(); !strings.Contains(said, noted.Scopes[0].NotBefore.UTC().Format(time.RFC3339)) {
				t.Errorf("it says %q", said)
			}
		}
		end()
		c.each = nil
		_, end = refreshing(t, c, s)
		defer end()
		pass(time.Minute)
		ids, noted := s.has()
		if n := c.timesOf("a"); ids != "a1 b4" || n != 0 || c.timesOf("b") < 3 || noted.Scopes[0].Error != slow.Error() || noted.Scopes[0].NotBefore.IsZero() {
			t.Fatalf("the next server has %q and asked it %d times, noted %+v", ids, n, noted.Scopes)
		}
		pass(time.Until(until) + 80*time.Second)
		if ids, noted := s.has(); ids != "a9 b4" || noted.Error+noted.Fault() != "" || !noted.Scopes[0].NotBefore.IsZero() {
			t.Errorf("after its time it has %q, noted %+v", ids, noted)
		}
	})
}

// TestOneScopeThatFailsForEverIsAskedLessOften, and the others as often as ever.
func TestOneScopeThatFailsForEverIsAskedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		forbidden := Scope{Name: "a", Err: errors.New("403 Forbidden")}
		c.has(nil, forbidden, scopeOf("b", "b0"))
		r, end := refreshing(t, c, s)
		defer end()
		for i := range 60 { // something changes each time
			pass(10 * time.Second)
			c.has(nil, forbidden, scopeOf("b", "b"+string(rune('0'+i%2))))
		}
		if a, b := c.timesOf("a"), c.timesOf("b"); b < 50 || a < 8 || a > 14 {
			t.Errorf("in ten minutes it was asked %d times, the other %d times", a, b)
		}
		before := c.timesOf("a")
		r.Wake(r.asked.Load() + 1)
		pass(2 * time.Second)
		if n := c.timesOf("a") - before; n != 1 {
			t.Errorf("woken, it is asked %d times", n)
		}
	})
}

// TestSinceWhenAScopeFailsIsNotLost by a registry that is away when the term begins.
func TestSinceWhenAScopeFailsIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := time.Now().Add(-48 * time.Hour)
		c, s := &cloud{}, &memoryShelf{silent: errors.New("etcd is away"), noted: mesh.DiscoverySource{Version: 7, Scopes: []mesh.DiscoveryScope{{Name: "a", LastSuccess: long}}}}
		c.has(nil, Scope{Name: "a", Err: errors.New("403")}, scopeOf("b", "b1"))
		_, end := refreshing(t, c, s)
		defer end()
		pass(time.Second)
		s.change(func(s *memoryShelf) { s.silent = nil })
		pass(time.Minute)
		if _, noted := s.has(); len(noted.Scopes) != 2 || !noted.Scopes[0].LastSuccess.Equal(long) || noted.Scopes[0].Error != "403" {
			t.Errorf("noted %+v", noted)
		}
	})
}

// TestThePaceOfARefresher: slower while nothing changes, and while the source fails; not
// while something is held, nor for a fault of the registry.
func TestThePaceOfARefresher(t *testing.T) {
	for name, fault := range map[string]struct {
		then func(*cloud, *memoryShelf)
		want time.Duration // between the fourth and the fifth
	}{
		"it fails":            {func(c *cloud, _ *memoryShelf) { c.has(errors.New("500")) }, 80 * time.Second},
		"nothing changes":     {func(*cloud, *memoryShelf) {}, 39 * time.Second / 2},
		"all is held":         {func(c *cloud, _ *memoryShelf) { c.has(nil, scopeOf("a")) }, 10 * time.Second},
		"the registry is off": {func(_ *cloud, s *memoryShelf) { s.change(func(s *memoryShelf) { s.away = errors.New("etcd is away") }) }, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := &cloud{}, &memoryShelf{}
				c.has(nil, scopeOf("a", "a1"))
				_, end := refreshing(t, c, s)
				defer end()
				pass(time.Second)
				fault.then(c, s)
				pass(10 * time.Minute)
				at := s.looked // before each listing, if the registry is there
				if len(at) < 5 || !near(at[4].Sub(at[3]), fault.want) {
					t.Errorf("asked at %v, want %s between the fourth and the fifth", at, fault.want)
				}
			})
		})
	}
}

// TestATermEndsInMidFlight: nothing is written or noted after it, and the next server goes
// on from what was noted.
func TestATermEndsInMidFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1"))
		_, end := refreshing(t, c, s)
		pass(9 * time.Second / 2)
		_, noted := s.has()
		c.mu.Lock()
		c.takes, c.scopes = time.Minute, []Scope{scopeOf("a", "a2")}
		c.mu.Unlock()
		pass(8 * time.Second) // it is asking
		if at := c.times(); len(at) != 2 {
			t.Fatalf("asked at %v", at)
		}
		began := time.Now()
		end()
		if took := time.Since(began); took != 0 {
			t.Errorf("the end of the term was noticed after %s", took)
		}
		if ids, after := s.has(); ids != "a1" || after.LastRun != noted.LastRun || after.Error != "" {
			t.Errorf("after the term it has %q, noted %+v", ids, after)
		}
		c = &cloud{fails: errors.New("500")}
		_, end = refreshing(t, c, s)
		defer end()
		pass(time.Second)
		if ids, after := s.has(); ids != "a1" || after.LastSuccess != noted.LastSuccess || after.Version != noted.Version || after.Error != "500" {
			t.Errorf("the next one has %q, noted %+v, before %+v", ids, after, noted)
		}
	})
}

// TestASourceThatNeverAnswersIsGivenUp, so that its machines are told to be old.
func TestASourceThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{takes: time.Hour}, &memoryShelf{}
		_, end := refreshing(t, c, s)
		defer end()
		pass(listTime + time.Second)
		if _, noted := s.has(); !strings.Contains(noted.Error, context.DeadlineExceeded.Error()) {
			t.Errorf("noted %+v", noted)
		}
	})
}

// TestWhatIsListedLaterThanItIsToldIsSeen: Resource Graph has a change seconds after the
// event that tells of it.
func TestWhatIsListedLaterThanItIsToldIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := &cloud{}, &memoryShelf{}
		c.has(nil, scopeOf("a", "a1"))
		r, end := refreshing(t, c, s)
		defer end()
		pass(3 * time.Second)
		r.Wake(r.asked.Load() + 1)
		pass(8 * time.Second) // asked at once, and again after 5 s
		c.has(nil, scopeOf("a", "a1", "a2"))
		pass(15 * time.Second)
		if ids, _ := s.has(); ids != "a1 a2" {
			t.Errorf("after half a minute it has %q, and was asked at %v", ids, c.times())
		}
	})
}
