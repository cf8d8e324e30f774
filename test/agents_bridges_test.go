package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// bridged is a fleet of two bridges and a host that is none, joined to a mesh.
type bridged struct {
	*server
	one, two, three *fleetHost
	byName          mesh.Port // where the third one's proxy takes calls by name
}

// bridge starts such a fleet; each bridge has its own token, which may write everything,
// and its own way to the server.
func (s *server) bridge(number int, secrets, ways [2]string) *bridged {
	t := s.t.(*testing.T)
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	write(t, keys, gossipKey())
	port := heddletest.FreePort(t)
	flags := func(i int) []string {
		token := filepath.Join(dir, fmt.Sprint("token-", i))
		write(t, token, secrets[i])
		return []string{"--bridge", "--server", ways[i], "--token-file", token}
	}
	b := &bridged{server: s}
	b.one = startHostWith(t, number, keys, port, flags(0))
	b.two = startHostWith(t, number+1, keys, port, flags(1), b.one)
	b.three = startHostWith(t, number+2, keys, port, []string{"--api", fmt.Sprintf("127.77.0.%d:7777", number+2)}, b.one, b.two)
	_, outbound, _ := strings.Cut(b.three.ready.Outbound, ":")
	if _, err := fmt.Sscan(outbound, &b.byName); err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wrong waits until the third host tells of these problems, by the host that has each and a
// part of its words, and of no other.
func (b *bridged) wrong(want map[string]string) {
	b.t.Helper()
	heddletest.Eventually(b.t, fmt.Sprintf("the problems to be %q", want), func() error {
		answer, err := plainClient.Get("http://" + b.three.ip + ":7777/api/v1/problems") //nolint:noctx // of the host under test
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var list []struct{ Host, Message string }
		if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
			return err
		}
		if len(list) != len(want) {
			return fmt.Errorf("they are %+v", list)
		}
		for _, p := range list {
			if !strings.Contains(p.Message, want[p.Host]) || want[p.Host] == "" {
				return fmt.Errorf("they are %+v", list)
			}
		}
		return nil
	})
}

// A bridge whose token is revoked hands its share over before the leases that it cannot renew
// any more end: the mesh never lacks a copy. Every host says what is wrong.
func TestABridgeThatIsRefusedHandsItsShareOver(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	names := []mesh.ServiceName{}
	for i := range 16 {
		names = append(names, mesh.ServiceName(fmt.Sprint("orders-", i)))
		s.declare(service(string(names[i]), mesh.HTTP))
	}
	tokens, secrets := [2]client.Token{}, [2]string{}
	for i := range tokens {
		var err error
		if tokens[i], secrets[i], err = s.client.CreateToken(t.Context(), "", "a bridge"); err != nil {
			t.Fatal(err)
		}
	}
	b := s.bridge(91, secrets, [2]string{s.rest, s.rest})
	app := b.three.whoami("orders")
	run := func(some []mesh.ServiceName) {
		var list []hostService
		for _, name := range some {
			list = append(list, hostService{Name: string(name), Port: app, ServicePort: heddletest.FreePort(t)})
		}
		b.three.runs(list...)
	}
	// authors counts what is registered by whose token.
	authors := func(want func(one, two int) bool) {
		t.Helper()
		heddletest.Eventually(t, "the shares of the bridges to be as they should", func() error {
			list, err := s.client.Instances(t.Context(), "")
			if err != nil {
				return err
			}
			count := map[string]int{}
			for _, one := range list {
				count[one.Meta.Author]++
			}
			if !want(count["token:"+tokens[0].ID], count["token:"+tokens[1].ID]) {
				return fmt.Errorf("%v are registered by %v", len(list), count)
			}
			return nil
		})
	}
	run(names[:8])
	authors(func(one, two int) bool { return one > 0 && two > 0 && one+two == 8 })
	b.wrong(nil)

	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		err := s.client.Events(ctx, 0, func(e client.Event) error {
			if e.Instance != nil && (e.Deleted || e.Instance.Health == mesh.Removed) {
				return fmt.Errorf("the mesh lacks %s", e.Instance.Key())
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	if err := s.client.RevokeToken(t.Context(), tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	run(names)
	authors(func(one, two int) bool { return one == 0 && two == 16 })
	b.wrong(map[string]string{b.one.name: "the server does not let this bridge register services, and other bridges do: give it a token that may"})
}

// A bridge that is cut off from the server keeps no copy of the mesh alive in the fleet that
// has ended there, also not once all bridges are cut off: then what was there last is called.
func TestABridgeThatIsCutOffIsNotHeeded(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.declare(service("pay", mesh.HTTP), service("orders", mesh.HTTP))
	ending := heddletest.Serve(t, "127.0.0.1:0", says("pay-1"))
	first := s.register("pay", "pay-1", ending.Addr)
	s.register("pay", "pay-2", app(t, says("pay-2")))
	way := startRelay(t)
	server := strings.TrimPrefix(s.rest, "http://")
	way.lead(server)
	b := s.bridge(94, [2]string{s.token, s.token}, [2]string{"http://" + way.address, s.rest})
	b.three.reaches(b.byName, "pay", "pay-1", "pay-2")
	b.three.runs(hostService{Name: "orders", Port: b.three.whoami("orders"), ServicePort: heddletest.FreePort(t)})
	s.registered("orders", map[string]int{"default": 1})

	way.lead("127.0.0.1:1")
	way.cut()
	if err := s.client.Deregister(t.Context(), first.Key(), first.Epoch); err != nil {
		t.Fatal(err)
	}
	b.three.reaches(b.byName, "pay", "pay-2")
	if err := ending.Close(); err != nil {
		t.Fatal(err)
	}
	away := "this bridge does not reach the mesh's server as it should, and "
	b.wrong(map[string]string{b.one.name: away + "others do its part"})

	s.Kill()
	over := make(chan struct{})
	var calling sync.WaitGroup
	calls := sync.OnceFunc(func() { close(over); calling.Wait() })
	defer calls()
	calling.Go(func() {
		for !isClosed(over) {
			if got, err := b.three.asks(b.byName, "pay"); err != nil || got.body != "pay-2" {
				t.Errorf("%+v, %v", got, err)
				return
			}
		}
	})
	b.wrong(map[string]string{b.one.name: away + "there is no other", b.two.name: away + "there is no other"})
	s.restart()
	way.lead(server)
	b.wrong(nil)
	calls()
	s.register("pay", "pay-3", app(t, says("pay-3")))
	b.three.reaches(b.byName, "pay", "pay-2", "pay-3")
	s.registered("orders", map[string]int{"default": 1})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
