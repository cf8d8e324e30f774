package authz

import (
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxFlights bounds the generations under way. Ten thousand take one signer of
// RSA-2048 about eleven seconds.
const maxFlights = 20_000

// flight is one generation, which all who ask for the same pair wait for.
type flight struct {
	done  chan struct{} // closed once token and err are set
	token *Token
	err   error
}

// join finds the generation of a pair that is under way, or begins one. It goes
// on when whoever asked first has gone. old is the token that is to be replaced
// before its time, or nil.
func (i *Issuer) join(ctx context.Context, p Pair, old *Token) (*flight, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if f, is := i.flights[p]; is {
		return f, nil
	}
	if i.closed {
		return nil, stopping()
	}
	if len(i.flights) >= maxFlights {
		return nil, mesh.Unavailable(nil, "%d tokens are waiting to be made already", maxFlights)
	}
	f := &flight{done: make(chan struct{})}
	i.flights[p] = f
	ctx = context.WithoutCancel(ctx)
	i.under.Go(func() {
		f.token, f.err = i.generate(ctx, p, old)
		if f.err == nil {
			i.memory.Set(p, f.token)
		} else if old != nil {
			old.refreshing.Store(false) // the next request tries again
		}
		i.mu.Lock()
		delete(i.flights, p)
		i.mu.Unlock()
		close(f.done)
	})
	return f, nil
}

// generate takes a token from Redis, or signs one.
func (i *Issuer) generate(ctx context.Context, p Pair, old *Token) (*Token, error) {
	keys := i.cfg.Keys.current.Load()
	k := keys.signing(i.cfg.Now())
	if k == nil {
		return nil, mesh.Unavailable(nil, "there is no key to sign tokens with")
	}
	if t := i.fetch(ctx, keys, k, p); t != nil && (old == nil || t.Expires.After(old.Expires)) {
		return t, nil
	}
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	case <-i.stop:
		return nil, stopping()
	}
	raw, expires, err := k.mint(i.cfg.Issuer, p, i.cfg.Now(), i.cfg.TokenLife)
	if err != nil {
		return nil, mesh.Unavailable(err, "sign a token")
	}
	i.metrics.signed.Inc()
	t := i.token(raw, expires, k)
	i.keep(p, t)
	return t, nil
}

// token makes what is handed out of a signed token.
func (i *Issuer) token(raw string, expires time.Time, k *key) *Token {
	lastUse := expires.Add(i.cfg.CacheLife - i.cfg.TokenLife)
	return &Token{
		Raw: raw, Expires: expires, key: k, response: allowed(raw),
		lastUse: lastUse, refresh: lastUse.Add(-i.cfg.RefreshAhead),
	}
}

func stopping() error { return mesh.Unavailable(nil, "the AuthZ service is stopping") }
