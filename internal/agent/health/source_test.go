package health

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// feed is a source that finds what the test says.
type feed chan []hosts.Service

func (feed) Name() string { return "test" }

func (f feed) Run(ctx context.Context, found func([]hosts.Service)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case list := <-f:
			found(list)
		}
	}
}

// play runs a monitor's source; tellings are what it handed on.
type play struct {
	feed     feed
	tellings [][]hosts.Service
	log      bytes.Buffer
}

func start(t *testing.T, cfg Config) *play {
	p := &play{feed: make(feed)}
	cfg.Logger = slog.New(slog.NewTextHandler(&p.log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- New(cfg).Wrap(p.feed).Run(ctx, func(list []hosts.Service) { p.tellings = append(p.tellings, list) })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *play) healths() (text string) {
	for _, s := range p.tellings[len(p.tellings)-1] {
		text += s.ID + " " + string(s.Health) + " " + s.Reason + ";"
	}
	return text
}

func checked1(id string, kind hosts.CheckKind, args string) hosts.Service {
	s := at("127.0.0.1:1")
	s.ID, s.Check = id, hosts.Check{Kind: kind, Args: args}
	return s
}

// What is not checked has the health that its source gives it, and what cannot be checked
// is not taken to be healthy. Nothing is told twice.
func TestSourcesKeepTheirWordOnWhatIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, Config{})
		engine := checked1("engine", hosts.CheckEngine, "")
		engine.Health, engine.Reason = hosts.Unhealthy, "the engine says so"
		udp := checked1("udp", "", "")
		udp.Ports[0].Type = "udp"
		list := []hosts.Service{engine, checked1("none", hosts.CheckNone, ""), udp, checked1("exec", hosts.CheckExec, ""), checked1("wrong", hosts.CheckHTTP, "{{if}}")}
		for range 3 {
			p.feed <- list
			synctest.Wait()
		}
		want := `engine unhealthy the engine says so;none  ;udp  ;exec unhealthy its check is a command, and none is given;` +
			`wrong unhealthy its check has "{{if}}", and knows {{host}}, {{container}}, {{tcp N}} and {{udp N}};`
		if got := p.healths(); got != want {
			t.Errorf("%s\nto be\n%s", got, want)
		}
		p.feed <- nil
		synctest.Wait()
		if len(p.tellings) != 2 {
			t.Errorf("told %d times", len(p.tellings))
		}
	})
}

// Real checks: a service is told when its health is another, and not in between; one
// that is gone is not asked any more.
func TestServicesAreToldWhenTheirHealthChanges(t *testing.T) {
	web := serves(t)
	web.Check = hosts.Check{Kind: hosts.CheckHTTP, Args: "/ok", Interval: 20 * time.Millisecond}
	p := &play{feed: make(feed)}
	told := make(chan []hosts.Service)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- New(Config{Logger: slog.New(slog.NewTextHandler(&p.log, nil))}).Wrap(p.feed).Run(ctx, func(list []hosts.Service) {
			select {
			case told <- list:
			case <-ctx.Done():
			}
		})
	}()
	next := func(want string) {
		t.Helper()
		select {
		case list := <-told:
			if got := fmt.Sprint(list[0].Health, " ", list[0].Reason); got != want {
				t.Errorf("%q, to be %q", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("never told: %s", want)
		}
	}
	p.feed <- []hosts.Service{web}
	next("unknown ")
	next("healthy ")
	web.Check.Args = "/bad" // it is asked something else, and serves until that fails
	p.feed <- []hosts.Service{web}
	next("healthy ")
	next("unhealthy it answers 500 Internal Server Error")
	select {
	case list := <-told:
		t.Errorf("told without a change: %v", list)
	case <-time.After(300 * time.Millisecond):
	}
	web.Health = hosts.Draining
	p.feed <- []hosts.Service{web}
	next("draining ")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := p.log.String(); strings.Count(got, "is not healthy") != 1 {
		t.Errorf("the log: %s", got)
	}
}

// follows runs a probe of a service by the clock of the test.
func follows(t *testing.T, m *Monitor, check hosts.Check, ask probe) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.follow(ctx, ask, check, newJudge(check), 0, func(verdict) {})
	}()
	return func() { cancel(); <-done }
}

// What starts is checked often, and what runs once in an interval.
func TestWhatStartsIsCheckedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{})
		check := m.checkOf(at("127.0.0.1:1"))
		begin, asked := time.Now(), []time.Duration{}
		stop := follows(t, m, check, func(context.Context) error {
			if asked = append(asked, time.Since(begin)); time.Since(begin) < time.Second {
				return context.Canceled
			}
			return nil
		})
		time.Sleep(60 * time.Second)
		stop()
		if asked[3] != 700*time.Millisecond || asked[4] != 1500*time.Millisecond {
			t.Errorf("while it starts it is asked at %v", asked[:5])
		}
		for i := 5; i < len(asked); i++ {
			if wait := asked[i] - asked[i-1]; wait < 2700*time.Millisecond || wait > 3300*time.Millisecond {
				t.Errorf("an interval of %s", wait)
			}
		}
	})
}

// However many services hang, the others are checked in time.
func TestServicesThatHangDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Workers: 4})
		check := m.checkOf(at("127.0.0.1:1"))
		check.Initial = hosts.Healthy
		var stops []func()
		for range 100 {
			stops = append(stops, follows(t, m, check, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		}
		time.Sleep(3 * time.Minute) // each of them had its turn
		last, longest := time.Now(), time.Duration(0)
		stops = append(stops, follows(t, m, check, func(context.Context) error {
			longest, last = max(longest, time.Since(last)), time.Now()
			return nil
		}))
		time.Sleep(5 * time.Minute)
		for _, stop := range stops {
			stop()
		}
		if longest > 3300*time.Millisecond {
			t.Errorf("a service that answers at once was not checked for %s", longest)
		}
	})
}

// Services that are found at once are not checked at once, and one alone is.
func TestFirstChecksAreSpread(t *testing.T) {
	if got := spread(1, time.Second); got != 0 {
		t.Errorf("one alone waits for %s", got)
	}
	for services, most := range map[int]time.Duration{11: 200 * time.Millisecond, 1000: time.Second} {
		parts := [4]int{}
		for range 4000 {
			got := spread(services, time.Second)
			if got > most {
				t.Fatalf("%d services: %s", services, got)
			}
			parts[min(got*4/most, 3)]++
		}
		for _, n := range parts {
			if n < 800 {
				t.Errorf("%d services: by quarters of %s %v", services, most, parts)
			}
		}
	}
}
