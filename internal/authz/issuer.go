package authz

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// IssuerConfig says what tokens are like and where they are kept.
type IssuerConfig struct {
	Keys   *Keyring
	Issuer string // "iss", e.g. https://heddle.local

	TokenLife    time.Duration // default 15 min
	CacheLife    time.Duration // how long a token is handed out; default half a minute less
	RefreshAhead time.Duration // how long before that ends another is fetched; default a minute, or a quarter of CacheLife if that is less

	Entries int    // tokens kept in this process; default 50,000, of about 2 KB each
	Signers int    // signatures made at the same time; default half the processors, so that they do not hold up the others
	Remote  *Redis // nil: none

	Now        func() time.Time
	Registerer prometheus.Registerer // default: none
	Logger     *slog.Logger          // default: discard
}

// Issuer gives tokens. Its methods may be called at once.
type Issuer struct {
	cfg     IssuerConfig
	memory  *otter.Cache[Pair, *Token]
	known   *otter.Cache[mark, verdict] // tokens in Redis that were verified
	slots   chan struct{}               // of Signers
	writes  chan write
	stop    chan struct{} // closed when Run ends
	metrics issuerMetrics

	mu      sync.Mutex
	flights map[Pair]*flight // guarded by mu: generations under way
	closed  bool             // guarded by mu: Run has ended
	under   sync.WaitGroup   // the goroutines of flights; added to only under mu
}

// NewIssuer makes an issuer. [Issuer.Run] has to be called, and ends it.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	cfg.TokenLife = cmp.Or(cfg.TokenLife, DefaultTokenLife)
	cfg.CacheLife = cmp.Or(cfg.CacheLife, cfg.TokenLife-MinimumLeft)
	cfg.RefreshAhead = cmp.Or(cfg.RefreshAhead, min(time.Minute, cfg.CacheLife/4))
	cfg.Entries = cmp.Or(cfg.Entries, 50_000)
	cfg.Signers = cmp.Or(cfg.Signers, max(1, runtime.GOMAXPROCS(0)/2))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var faults mesh.Faults
	if cfg.Issuer == "" {
		faults.Add("issuer", "is empty: it is what validators compare with, such as https://heddle.local")
	}
	if cfg.TokenLife < time.Minute || cfg.TokenLife > 24*time.Hour {
		faults.Add("tokenLife", "is %s: from 1m to 24h", cfg.TokenLife)
	}
	if cfg.CacheLife < time.Second || cfg.CacheLife > cfg.TokenLife-MinimumLeft {
		faults.Add("cacheLife", "is %s: at least 1s, and %s less than a token lives (%s), so that each token handed out lives that long", cfg.CacheLife, MinimumLeft, cfg.TokenLife)
	}
	if cfg.RefreshAhead >= cfg.CacheLife {
		faults.Add("refreshAhead", "is %s: less than tokens are cached (%s)", cfg.RefreshAhead, cfg.CacheLife)
	}
	if err := mesh.Invalid("issue tokens", faults); err != nil {
		return nil, err
	}
	memory, err := otter.New(&otter.Options[Pair, *Token]{
		MaximumWeight: uint64(cfg.Entries),
		// One for a user with many groups takes the room of several.
		Weigher: func(p Pair, t *Token) uint32 { return 1 + uint32(len(p.User)+len(t.Raw))/2048 },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Pair, *Token]) time.Duration {
			return e.Value.lastUse.Sub(cfg.Now())
		}),
	})
	if err != nil {
		return nil, err
	}
	known, err := otter.New(&otter.Options[mark, verdict]{MaximumSize: maxKnown})
	if err != nil {
		return nil, err
	}
	return &Issuer{
		cfg: cfg, memory: memory, known: known, slots: make(chan struct{}, cfg.Signers), writes: make(chan write, maxWrites), stop: make(chan struct{}),
		metrics: newIssuerMetrics(cfg.Registerer), flights: map[Pair]*flight{},
	}, nil
}

// Token gives a token for the pair that lives at least [MinimumLeft]. Whether
// the caller may have it is not asked here. Unavailable: there is none in time;
// it is made all the same, for who asks next.
func (i *Issuer) Token(ctx context.Context, p Pair) (*Token, error) {
	for range 3 {
		now, keys := i.cfg.Now(), i.cfg.Keys.current.Load()
		if t, is := i.memory.GetIfPresent(p); is && now.Before(t.lastUse) {
			if may, replace := keys.handsOut(t.key, now); may {
				if (replace || now.After(t.refresh)) && t.refreshing.CompareAndSwap(false, true) {
					i.renew(ctx, p, t)
				}
				i.metrics.memory.Inc()
				return t, nil
			}
		}
		f, first, err := i.join(p)
		if err != nil {
			return nil, err
		}
		if first {
			i.lead(ctx, p, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, mesh.Unavailable(ctx.Err(), "no token was made in time")
		}
		if f.err != nil {
			return nil, f.err
		}
		if may, _ := i.cfg.Keys.current.Load().handsOut(f.token.key, i.cfg.Now()); may {
			return f.token, nil
		}
		// Its key was revoked while it waited for a signer.
	}
	return nil, mesh.Unavailable(nil, "the signing keys change all the time")
}

// Run writes to Redis what was signed, until ctx ends; then it waits for the
// generations under way, of which those that wait for a signer fail.
func (i *Issuer) Run(ctx context.Context) error {
	defer i.memory.StopAllGoroutines()
	for {
		select {
		case w := <-i.writes:
			i.store(ctx, w)
		case <-ctx.Done():
			i.mu.Lock()
			i.closed = true
			i.mu.Unlock()
			close(i.stop)
			i.under.Wait()
			return nil
		}
	}
}
