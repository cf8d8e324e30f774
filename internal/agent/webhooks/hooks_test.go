package webhooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/agent/webhooks"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is what an agent sees, as the test has it.
type fleet struct {
	mu      sync.Mutex
	state   *hosts.State
	clock   func() time.Time
	local   []hosts.Service
	looks   chan struct{} // one each time that it is looked for listeners
	watches []chan struct{}
}

func (f *fleet) get() *hosts.State { f.mu.Lock(); defer f.mu.Unlock(); return f.state }

func (f *fleet) runs(list ...hosts.Service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = &hosts.State{Self: "one", Version: f.state.Version + 1, Changed: f.clock(), Hosts: []hosts.Host{{Name: "one", Services: list}}}
	for _, w := range f.watches {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (f *fleet) services() []hosts.Service {
	select {
	case f.looks <- struct{}{}:
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.local
}

// looked waits until what is there now was looked at, and what follows of it is done.
func (f *fleet) looked(t *testing.T) {
	t.Helper()
	for range 2 {
		select {
		case <-f.looks:
		case <-time.After(20 * time.Second):
			t.Fatal("it is not looked for listeners")
		}
	}
}

func (f *fleet) listens(list ...hosts.Service) { f.mu.Lock(); defer f.mu.Unlock(); f.local = list }

type watch struct {
	*fleet
	wake chan struct{}
}

func (w watch) Wait(ctx context.Context) (*hosts.State, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.wake:
		return w.get(), nil
	}
}

func (w watch) Close() {}

// told is what Sidecar's receiver decodes, and whether it would take it.
type told struct {
	State struct {
		Servers map[string]struct {
			Services map[string]struct{ Status int }
		}
		LastChanged time.Time
	}
	ChangeEvent struct {
		Service struct {
			ID, Name string
			Status   int
		}
		PreviousStatus int
	}
}

// receiver is a listener; answer may say how the n-th post is answered.
type receiver struct {
	*httptest.Server
	events  chan told
	mu      sync.Mutex
	posts   int
	answers func(n int) int
}

func newReceiver(t *testing.T, answers func(n int) int) *receiver {
	r := &receiver{events: make(chan told, 1000), answers: answers}
	var last time.Time
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts++
		if cookie, err := q.Cookie("sidecar-session-host"); err != nil || cookie.Value == "" {
			t.Errorf("no session: %v", err)
		}
		var got told
		if err := json.NewDecoder(q.Body).Decode(&got); err != nil {
			t.Errorf("post %d has no event: %v", r.posts, err)
		}
		if status := r.answers(r.posts); status != 200 {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
			return
		}
		if !got.State.LastChanged.After(last) {
			t.Errorf("a receiver would leave %+v out: it is not after %v", got, last)
		}
		last = got.State.LastChanged
		r.events <- got
	}))
	t.Cleanup(r.Close)
	return r
}

func fine(int) int { return http.StatusOK }

func start(t *testing.T, urls ...string) *fleet {
	t.Helper()
	f := &fleet{state: &hosts.State{Self: "one"}, clock: func() time.Time { return time.Unix(1e9, 0) }, looks: make(chan struct{})}
	hooks := webhooks.New(webhooks.Config{State: f.get, Local: f.services, URLs: urls, Logger: slog.New(slog.DiscardHandler),
		Watch: func() webhooks.Watch {
			f.mu.Lock()
			defer f.mu.Unlock()
			w := watch{f, make(chan struct{}, 1)}
			w.wake <- struct{}{}
			f.watches = append(f.watches, w.wake)
			return w
		}})
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- hooks.Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

func (r *receiver) next(t *testing.T) told {
	t.Helper()
	select {
	case got := <-r.events:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
	}
	panic("never")
}

func TestAListenerIsToldWhatChanges(t *testing.T) {
	r := newReceiver(t, fine)
	f := start(t, r.URL)
	web := hosts.Service{ID: "web-1", Name: "web"}
	f.runs(web)
	if got := r.next(t); got.ChangeEvent.Service.ID != "web-1" || got.ChangeEvent.PreviousStatus != 3 || got.State.Servers["one"].Services["web-1"].Status != 0 {
		t.Errorf("new: %+v", got)
	}
	web.Health = hosts.Unhealthy
	f.runs(web)
	if got := r.next(t); got.ChangeEvent.Service.Status != 2 || got.ChangeEvent.PreviousStatus != 0 {
		t.Errorf("unhealthy: %+v", got)
	}
	f.runs()
	if got := r.next(t); got.ChangeEvent.Service.Status != 1 || got.ChangeEvent.PreviousStatus != 2 || len(got.State.Servers) != 0 {
		t.Errorf("gone: %+v", got)
	}
}

// After a step back of the host's clock receivers left out all that they were told: they
// see the time of its wall alone.
func TestReceiversHearAfterTheClockWasSetBack(t *testing.T) {
	r := newReceiver(t, fine)
	f := start(t, r.URL)
	f.clock = time.Now
	f.runs(hosts.Service{ID: "one", Name: "web"})
	r.next(t)
	f.clock = func() time.Time { return setBack(t, time.Now(), time.Hour) }
	f.runs(hosts.Service{ID: "two", Name: "web"})
	r.next(t)
	r.next(t)
}

// setBack gives a time as a clock tells it that was set back since the process began: its
// monotonic reading goes on.
func setBack(t *testing.T, now time.Time, by time.Duration) time.Time {
	t.Helper()
	then := now
	*(*uint64)(unsafe.Pointer(&then)) -= uint64(by/time.Second) << 30 //nolint:gosec // how Go keeps it
	if then.Sub(now) != 0 || now.Unix()-then.Unix() != int64(by/time.Second) {
		t.Skipf("Go keeps times in another way: %v of %v", then, now)
	}
	return then
}

// Sidecar sent an empty body when it tried again.
func TestATriedAgainEventHasItsBody(t *testing.T) {
	r := newReceiver(t, func(n int) int {
		return map[int]int{1: 500, 2: 302, 3: 503}[n] | map[bool]int{true: 200}[n > 3]
	})
	f := start(t, r.URL)
	f.runs(hosts.Service{ID: "web-1", Name: "web"})
	if got := r.next(t); got.ChangeEvent.Service.ID != "web-1" || r.posts != 4 {
		t.Errorf("%d posts, %+v", r.posts, got)
	}
}

// What a listener missed while it was away it hears as it is then, once.
func TestASlowListenerHearsTheLatest(t *testing.T) {
	open := make(chan struct{})
	came := make(chan struct{}, 1000)
	r := newReceiver(t, func(int) int { came <- struct{}{}; <-open; return 200 })
	f := start(t, r.URL)
	list := []hosts.Service{{ID: "first", Name: "first"}}
	f.runs(list...)
	<-came
	for i := range 500 {
		list = append(list, hosts.Service{ID: fmt.Sprint("web-", i), Name: fmt.Sprint("web-", i%3)})
		f.runs(list...)
	}
	f.runs(append(list, hosts.Service{ID: "last", Name: "last"})...)
	close(open)
	names, count := map[string]bool{}, 0
	for len(names) < 5 {
		names[r.next(t).ChangeEvent.Service.Name] = true
		count++
	}
	if count > 5 {
		t.Errorf("%d events of %v", count, names)
	}
}

func TestAnEventThatIsRefusedDoesNotKeepOthersBack(t *testing.T) {
	r := newReceiver(t, func(n int) int {
		if n <= 6 {
			return 400
		}
		return 200
	})
	f := start(t, r.URL)
	f.runs(hosts.Service{ID: "bad", Name: "bad"}, hosts.Service{ID: "good", Name: "good"})
	if got := r.next(t); got.ChangeEvent.Service.Name != "good" {
		t.Errorf("%+v", got)
	}
}

// A label must not have the agent post to whatever the host reaches.
func TestAServiceIsToldAtItsOwnAddressAlone(t *testing.T) {
	r := newReceiver(t, fine)
	at, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	always := newReceiver(t, fine)
	f := start(t, always.URL)
	own := hosts.Service{ID: "own", Name: "own", Address: netip.MustParseAddr("127.0.0.1"), Ports: []hosts.Port{{Port: mesh.Port(number)}}, Listener: r.URL + "/own"}
	elsewhere := own
	elsewhere.ID, elsewhere.Address, elsewhere.Listener = "elsewhere", netip.MustParseAddr("10.0.0.1"), r.URL+"/elsewhere"
	otherPort := own
	otherPort.ID, otherPort.Ports, otherPort.Listener = "port", []hosts.Port{{Port: 1}}, r.URL+"/port"
	name := own
	name.ID, name.Listener = "name", fmt.Sprintf("http://localhost:%d/", number)
	f.listens(elsewhere, otherPort, name)
	f.runs(hosts.Service{ID: "web-1", Name: "web"})
	f.looked(t)
	always.next(t)
	if r.mu.Lock(); r.posts != 0 {
		t.Errorf("%d posts to what is not a service's own", r.posts)
	}
	r.mu.Unlock()
	f.listens(own)
	if got := r.next(t); got.ChangeEvent.Service.ID != "web-1" {
		t.Errorf("%+v", got)
	}
	f.listens() // it has ended
	f.looked(t)
	f.runs()
	always.next(t)
	select {
	case got := <-r.events:
		t.Errorf("one that has gone is told: %+v", got)
	default:
	}
}
