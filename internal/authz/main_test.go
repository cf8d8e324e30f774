package authz

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testIssuer = "https://mesh.test"

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// loadedKeyring has a key of a type that is made quickly, unless cfg says another.
func loadedKeyring(t testing.TB, cfg KeyringConfig) *Keyring {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = Dir(t.TempDir())
	}
	if cfg.Type == "" {
		cfg.Type = ES256
	}
	k := NewKeyring(cfg)
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// runIssuer runs an issuer until the test ends.
func runIssuer(t testing.TB, cfg IssuerConfig) *Issuer {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = loadedKeyring(t, KeyringConfig{Now: cfg.Now})
	}
	if cfg.Issuer == "" {
		cfg.Issuer = testIssuer
	}
	i, err := NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, i.Run)
	return i
}

// startedIssuer runs an issuer until end is called.
func startedIssuer(t testing.TB, cfg IssuerConfig) (i *Issuer, end func()) {
	t.Helper()
	i, err := NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return i.Run(ctx) })
	return i, func() {
		cancel()
		_ = group.Wait() // it never fails
	}
}

func runUntilEnd(t testing.TB, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func pairOf(caller, callee string) Pair {
	return Pair{Caller: "spiffe://mesh.test/service/" + caller, Callee: "spiffe://mesh.test/service/" + callee}
}

// checked fails the test unless the token is a valid one for the pair.
func checked(t testing.TB, i *Issuer, token *Token, p Pair) {
	t.Helper()
	now := i.cfg.Now()
	if _, _, err := i.cfg.Keys.current.Load().verify(token.Raw, i.cfg.Issuer, p, now); err != nil {
		t.Errorf("the token for %v is not valid: %v", p, err)
	}
	if left := token.Expires.Sub(now); left < MinimumLeft {
		t.Errorf("the token for %v lives for %s only", p, left)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("%s: not within 10 s", what)
}

// edgesOf allows the pairs listed, and answers others as it is told.
type edgesOf struct {
	pairs       map[[2]string]bool
	enforcement mesh.Enforcement
	err         error
}

func (e edgesOf) Edge(caller Caller, callee mesh.ServiceName) (Edge, error) {
	if e.err != nil || e.pairs[[2]string{caller.Name, string(callee)}] {
		return Edge{}, e.err
	}
	return Edge{Reason: Undeclared, Enforcement: e.enforcement}, nil
}
