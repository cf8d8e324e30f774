package authz

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func mustToken(t testing.TB, i *Issuer, p Pair) *Token {
	t.Helper()
	token, err := i.Token(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	checked(t, i, token, p)
	return token
}

func signed(i *Issuer) int { return int(testutil.ToFloat64(i.metrics.signed)) }

func TestOneTokenForAllWhoAskAtOnce(t *testing.T) {
	t.Parallel()
	i := runIssuer(t, IssuerConfig{Registerer: prometheus.NewRegistry()})
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() { mustToken(t, i, pairOf("web", "orders")) })
	}
	group.Wait()
	if signed(i) != 1 {
		t.Errorf("%d tokens were signed", signed(i))
	}
	a, b := mustToken(t, i, pairOf("web", "orders")), mustToken(t, i, pairOf("web", "cart"))
	user := pairOf("web", "orders")
	user.User = User{Email: "ann@example.com", Subject: "7", Groups: []string{"a<b", "c"}}.Claim()
	c := mustToken(t, i, user)
	if a.Raw == b.Raw || a.Raw == c.Raw {
		t.Error("two pairs have one token")
	}
}

// Over a day of requests every token lives long enough, and none waits for a
// signature once there was one.
func TestTokensAreReplacedBeforeTheyEnd(t *testing.T) {
	t.Parallel()
	now := newClock()
	i := runIssuer(t, IssuerConfig{Now: now.Now})
	p := pairOf("web", "orders")
	seen := map[string]bool{}
	for range 24 * 60 * 4 {
		before := mustToken(t, i, p)
		seen[before.Raw] = true
		if now.Now().After(before.refresh) {
			eventually(t, "another token", func() bool { return mustToken(t, i, p) != before })
		}
		now.advance(15 * time.Second)
	}
	if least, most := 24*60*60/DefaultTokenLife.Seconds(), 24*60*60/(DefaultTokenLife-2*time.Minute).Seconds(); float64(len(seen)) < least || float64(len(seen)) > most {
		t.Errorf("%d tokens in a day; %.0f to %.0f are to be expected", len(seen), least, most)
	}
}

func TestATokenOfAKeyThatIsGoneIsNotGiven(t *testing.T) {
	t.Parallel()
	keys := loadedKeyring(t, KeyringConfig{})
	i := runIssuer(t, IssuerConfig{Keys: keys})
	p := pairOf("web", "orders")
	before := mustToken(t, i, p)
	keys.current.Store(loadedKeyring(t, KeyringConfig{}).current.Load())
	if after := mustToken(t, i, p); after.Raw == before.Raw {
		t.Error("it is")
	}
}

func TestWhoAsksTooBriefIsToldSoAndTheTokenIsMadeAllTheSame(t *testing.T) {
	t.Parallel()
	i := runIssuer(t, IssuerConfig{})
	for range cap(i.slots) {
		i.slots <- struct{}{} // all signers are busy
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := i.Token(ctx, pairOf("web", "orders")); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Fatalf("there was none in time: %v", err)
	}
	for range cap(i.slots) {
		<-i.slots
	}
	eventually(t, "the token is there", func() bool { _, is := i.memory.GetIfPresent(pairOf("web", "orders")); return is })
}

// Hits go on while ten thousand tokens are being signed.
func TestTenThousandColdPairsAtOnce(t *testing.T) {
	t.Parallel()
	i := runIssuer(t, IssuerConfig{})
	hot := pairOf("web", "orders")
	want := mustToken(t, i, hot)
	const cold = 10_000
	var group sync.WaitGroup
	tokens := make([]*Token, cold)
	for n := range cold {
		group.Go(func() {
			var err error
			if tokens[n], err = i.Token(t.Context(), pairOf("web", fmt.Sprint("cold", n))); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	for hits := 0; ; hits++ {
		select {
		case <-done:
			if hits < cold/10 {
				t.Errorf("only %d hits in the time of %d signatures", hits, cold)
			}
			for n := 0; n < cold; n += 100 {
				checked(t, i, tokens[n], pairOf("web", fmt.Sprint("cold", n)))
			}
			return
		default:
		}
		if got, err := i.Token(t.Context(), hot); err != nil || got != want {
			t.Fatalf("the hot pair: %v", err)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		cfg  IssuerConfig
		want string
	}{
		"no issuer":             {IssuerConfig{}, "issuer"},
		"cached too long":       {IssuerConfig{Issuer: "x", CacheLife: DefaultTokenLife}, "cacheLife"},
		"lives too briefly":     {IssuerConfig{Issuer: "x", TokenLife: 20 * time.Second, CacheLife: time.Second}, "tokenLife"},
		"refreshed for ever":    {IssuerConfig{Issuer: "x", CacheLife: time.Minute, RefreshAhead: time.Minute}, "refreshAhead"},
		"lives for a long time": {IssuerConfig{Issuer: "x", TokenLife: 48 * time.Hour}, "tokenLife"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewIssuer(one.cfg); mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), one.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAStoppedIssuerSaysSo(t *testing.T) {
	t.Parallel()
	i, err := NewIssuer(IssuerConfig{Keys: loadedKeyring(t, KeyringConfig{}), Issuer: testIssuer})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Token(t.Context(), pairOf("web", "orders")); mesh.KindOf(err) != mesh.KindUnavailable {
		t.Errorf("%v", err)
	}
}
