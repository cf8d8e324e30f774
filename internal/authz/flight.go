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

// join finds the generation of a pair that is under way, or begins one, which the
// first has to lead.
func (i *Issuer) join(p Pair) (f *flight, first bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if f, is := i.flights[p]; is {
		return f, false, nil
	}
	if i.closed {
		return nil, false, stopping()
	}
	if len(i.flights) >= maxFlights {
		return nil, false, mesh.Unavailable(nil, "%d tokens are waiting to be made already", maxFlights)
	}
	f = &flight{done: make(chan struct{})}
	i.flights[p] = f
	i.under.Add(1)
	return f, true, nil
}

// lead takes a token from Redis, which is soon done, or else has one signed. That
// goes on when whoever asked has gone.
func (i *Issuer) lead(ctx context.Context, p Pair, f *flight) {
	ctx = context.WithoutCancel(ctx)
	keys := i.cfg.Keys.current.Load()
	k := keys.signing(i.cfg.Now())
	if k == nil {
		i.land(p, f, nil, mesh.Unavailable(nil, "there is no key to sign tokens with"))
		return
	}
	if t := i.fetch(ctx, keys, k, p); t != nil {
		i.land(p, f, t, nil)
		return
	}
	go func() { // ends with the flight, which Run waits for
		t, err := i.sign(k, p)
		i.land(p, f, t, err)
	}()
}

// renew replaces a token before it ends.
func (i *Issuer) renew(ctx context.Context, p Pair, old *Token) {
	f, first, err := i.join(p)
	if err != nil || !first {
		old.refreshing.Store(false)
		return
	}
	ctx = context.WithoutCancel(ctx)
	go func() { // ends with the flight, which Run waits for
		keys := i.cfg.Keys.current.Load()
		t, err := (*Token)(nil), error(nil)
		if k := keys.signing(i.cfg.Now()); k != nil { // old came from somewhere, so there is one
			if t = i.fetch(ctx, keys, k, p); t == nil || !t.Expires.After(old.Expires) {
				t, err = i.sign(k, p)
			}
		}
		if t == nil {
			old.refreshing.Store(false) // the next request tries again
		}
		i.land(p, f, t, err)
	}()
}

// land ends a generation.
func (i *Issuer) land(p Pair, f *flight, t *Token, err error) {
	f.token, f.err = t, err
	if t != nil {
		i.memory.Set(p, t)
	}
	i.mu.Lock()
	delete(i.flights, p)
	i.mu.Unlock()
	close(f.done)
	i.under.Done()
}

// sign makes a token, once there is a signer.
func (i *Issuer) sign(k *key, p Pair) (*Token, error) {
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	case <-i.stop:
		return nil, stopping()
	}
	began := time.Now()
	raw, expires, err := k.mint(i.cfg.Issuer, p, i.cfg.Now(), i.cfg.TokenLife)
	if err != nil {
		return nil, mesh.Unavailable(err, "sign a token")
	}
	i.metrics.signing.Observe(time.Since(began).Seconds())
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
