package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestWhatIsNotWhatAnAgentRemembers(t *testing.T) {
	for name, body := range map[string]string{"half written": `{"hosts":["127.0.0.1:79`, "garbage": "\x00\x01", "empty": "", "another type": `{"hosts": 3}`, "no address": `{"hosts": ["orders"]}`} {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(Config{Gossip: quick("a", "127.0.0.1:0"), Remember: path})
		var said *mesh.Error
		if !errors.As(err, &said) || said.Kind != mesh.KindInvalid || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAgentThatCouldNotRememberDoesNotStart(t *testing.T) {
	if _, err := New(Config{Gossip: quick("a", "127.0.0.1:0"), Remember: filepath.Join(t.TempDir(), "missing", "state")}); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Error(err)
	}
}

// What cannot be written is told of once, and is written once it can be.
func TestAFolderThatCannotBeWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Buffer
		folder := filepath.Join(t.TempDir(), "missing")
		path, what := filepath.Join(folder, "state"), memory{Drained: []string{"test/1"}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		k := keeper{path: path, what: func() memory { return what }, log: slog.New(slog.NewTextHandler(&log, nil))}
		go k.run(ctx)
		time.Sleep(5*rememberInterval + rememberInterval/2)
		if told := strings.Count(log.String(), "cannot be written"); told != 1 {
			t.Errorf("told %d times:\n%s", told, log.String())
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rememberInterval)
		synctest.Wait()
		if got, err := recall(path); err != nil || !slices.Equal(got.Drained, what.Drained) {
			t.Errorf("it remembers %+v (%v)", got, err)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("%v are left beside it (%v)", entries, err)
		}
	})
}

// A host that is restarted needs no seed: it looks where its fleet was, at all of those
// places at once, so that those that are away now cost no time.
func TestAHostThatIsRestartedFindsItsFleet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first := quick("a", "127.0.0.1:0")
	a := start(t, Config{Gossip: first, Remember: path})
	own := newSource("test")
	b := start(t, Config{Gossip: quick("b", "127.0.0.1:0", a.gossip.Address().String()), Sources: []Source{own}})
	own.lists <- []hosts.Service{one("1", "web", 1000)}
	a.sees(t, "b", "1")
	remembered(t, path, func(m memory) error {
		if len(m.Hosts) != 1 || m.Hosts[0] != b.gossip.Address() {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	a.stop()
	m, err := recall(path)
	if err != nil {
		t.Fatal(err)
	}
	away := []netip.AddrPort{}
	for range 5 {
		away = append(away, netip.MustParseAddrPort(blackHole(t)))
	}
	m.Hosts = append(away, m.Hosts...)
	if err := m.write(path); err != nil {
		t.Fatal(err)
	}
	first.Bind = netip.MustParseAddrPort(a.gossip.Address().String())
	since := time.Now()
	again := start(t, Config{Gossip: first, Remember: path})
	again.sees(t, "b", "1")
	if took := time.Since(since); took > 5*time.Second {
		t.Errorf("it took %v to find the fleet", took)
	}
	since = time.Now()
	again.stop()
	if took := time.Since(since); took > 5*time.Second {
		t.Errorf("it took %v to leave, while hosts were tried that are away", took)
	}
}

// A host that starts while it is alone, with something to write besides, still knows where
// the others were.
func TestAHostThatStartsAloneRemembersTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	before := memory{Hosts: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.9:1")}, Drained: []string{"test/1"}}
	if err := before.write(path); err != nil {
		t.Fatal(err)
	}
	own := newSource("test")
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{own}, Remember: path})
	own.lists <- []hosts.Service{one("2", "web", 1000)} // what was drained has ended
	b := start(t, Config{Gossip: quick("b", "127.0.0.1:0", a.gossip.Address().String())})
	want := []netip.AddrPort{before.Hosts[0], b.gossip.Address()}
	slices.SortFunc(want, netip.AddrPort.Compare)
	remembered(t, path, func(m memory) error {
		if len(m.Drained) > 0 || !slices.Equal(m.Hosts, want) && len(m.Hosts) > 1 {
			return fmt.Errorf("%+v", m)
		}
		if !slices.Contains(m.Hosts, before.Hosts[0]) {
			t.Fatalf("the others are lost: %+v", m)
		}
		return nil
	})
	remembered(t, path, func(m memory) error {
		if !slices.Equal(m.Hosts, want) {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
}

// What was forgotten is let go after a day, and the oldest for what is more than fits.
func TestForgottenHostsGoSomeDay(t *testing.T) {
	f, now := forgotten{}, time.Now()
	for i := range mostForgotten {
		if list := f.add(fmt.Sprint(i), now.Add(time.Duration(i)*time.Minute)); len(list) > 0 {
			t.Fatalf("%v have to go for the one that is number %d", list, i)
		}
	}
	if list := f.add("new", now.Add(24*time.Hour)); !slices.Equal(list, []string{"0"}) {
		t.Errorf("%v have to go for one that is too many", list)
	}
	if list := f.over(now.Add(lostFor + 30*time.Second + 2*time.Minute)); len(list) != 2 || len(f) != mostForgotten-2 {
		t.Errorf("%v are over after a day, %d are left", list, len(f))
	}
}

func TestKeysAreReadAnew(t *testing.T) {
	var log logtest.Buffer
	old, young := make([]byte, 32), append(make([]byte, 31), 1)
	answers := make(chan func() (gossip.Keys, error))
	a := start(t, Config{
		Gossip: quick("a", "127.0.0.1:0"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Keys: func() (gossip.Keys, error) {
			select {
			case answer := <-answers:
				return answer()
			default:
				return nil, errors.New("no file")
			}
		},
	})
	told := func(text string, times int) {
		t.Helper()
		heddletest.Eventually(t, text, func() error {
			if n := strings.Count(log.String(), text); n != times {
				return fmt.Errorf("told %d times:\n%s", n, log.String())
			}
			return nil
		})
	}
	told("no file", 1)
	answers <- func() (gossip.Keys, error) { return gossip.Keys{young, old}, nil }
	told("have been changed", 1)
	told("no file", 2)
	answers <- func() (gossip.Keys, error) { return gossip.Keys{young, old}, nil } // the same
	answers <- func() (gossip.Keys, error) { return gossip.Keys{{1, 2, 3}}, nil }  // no key
	told("those before are used", 4)                                               // no file twice, the bad key, and no file again
	if strings.Count(log.String(), "have been changed") != 1 {
		t.Error(log.String())
	}
	own := newSource("test")
	b := start(t, Config{Gossip: with(quick("b", "127.0.0.1:0", a.gossip.Address().String()), gossip.Keys{young}), Sources: []Source{own}})
	own.lists <- []hosts.Service{one("1", "web", 1000)}
	b.sees(t, "b", "1")
	a.sees(t, "b", "1")
}

func with(c gossip.Config, keys gossip.Keys) gossip.Config {
	c.Keys = keys
	return c
}
