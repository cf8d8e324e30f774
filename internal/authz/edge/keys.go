package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// refreshEvery is how long a set is used before it is fetched again, so that a
	// key that the issuer has withdrawn is not taken for longer.
	refreshEvery = 10 * time.Minute
	// fetchApart is how far two fetches are apart, whatever is asked for.
	fetchApart = 10 * time.Second
	// maxWaiting bounds the requests that wait for one fetch.
	maxWaiting = 1000
)

var (
	errUnknownKey = errors.New("the issuer publishes no such key")
	errStopping   = mesh.Unavailable(nil, "the AuthZ service is stopping")
)

// keys are the keys of one issuer. Requests read the last good set; run is the
// only one that fetches.
type keys struct {
	fetch  func(context.Context) (keySet, error)
	now    func() time.Time
	logger *slog.Logger

	current atomic.Pointer[keySet] // the last good set; nil: none yet
	wanted  chan struct{}          // somebody waits for a fetch

	mu       sync.Mutex
	fetching bool          // guarded by mu
	waiting  int           // guarded by mu: requests that wait for done
	done     chan struct{} // guarded by mu: closed at the end of this or the next fetch
	tried    time.Time     // guarded by mu: when the last fetch began
	failed   error         // guarded by mu: why the last one gave no set, or nil
	closed   bool          // guarded by mu: run has ended
}

func newKeys(fetch func(context.Context) (keySet, error), now func() time.Time, logger *slog.Logger) *keys {
	return &keys{fetch: fetch, now: now, logger: logger, wanted: make(chan struct{}, 1), done: make(chan struct{})}
}

// find gives a key. One that is not known is asked of the issuer, unless that was
// just done. errUnknownKey: the issuer has none of the id. Unavailable: it
// cannot be said.
func (k *keys) find(ctx context.Context, id string) (jose.JSONWebKey, error) {
	if key, is := k.known(id); is {
		return key, nil
	}
	done, err := k.want()
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return jose.JSONWebKey{}, mesh.Unavailable(ctx.Err(), "the issuer's keys did not come in time")
		}
	}
	if key, is := k.known(id); is {
		return key, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil {
		return jose.JSONWebKey{}, mesh.Unavailable(k.failed, "the issuer's keys cannot be fetched")
	}
	return jose.JSONWebKey{}, errUnknownKey
}

func (k *keys) known(id string) (jose.JSONWebKey, bool) {
	set := k.current.Load()
	if set == nil {
		return jose.JSONWebKey{}, false
	}
	key, is := (*set)[id]
	return key, is
}

// want asks for a fetch and gives what is closed at its end; nil when there was
// one just now.
func (k *keys) want() (<-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return nil, errStopping
	case !k.fetching && k.waiting == 0 && !k.due():
		return nil, nil //nolint:nilnil // nil means that nothing is to be waited for
	case k.waiting >= maxWaiting:
		return nil, mesh.Unavailable(nil, "%d requests wait for the issuer's keys already", maxWaiting)
	}
	k.waiting++
	if !k.fetching {
		select {
		case k.wanted <- struct{}{}:
		default: // it has been asked for
		}
	}
	return k.done, nil
}

// due says whether the last fetch is long enough ago. A clock that was set back
// does not hold the next one up.
func (k *keys) due() bool {
	ago := k.now().Sub(k.tried)
	return k.tried.IsZero() || ago >= fetchApart || ago < 0
}

// run fetches keys at the start, then when they are wanted and when they are old,
// until ctx ends.
func (k *keys) run(ctx context.Context) {
	defer k.end()
	for {
		next := time.NewTimer(k.refresh(ctx))
		select {
		case <-k.wanted:
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		next.Stop()
	}
}

// refresh fetches once, and says when to do so again.
func (k *keys) refresh(ctx context.Context) time.Duration {
	k.mu.Lock()
	k.tried, k.fetching = k.now(), true
	before := k.failed
	k.mu.Unlock()
	set, err := k.fetch(ctx)
	if err == nil {
		k.current.Store(&set)
	}
	k.mu.Lock()
	k.failed, k.fetching = err, false
	k.release()
	k.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil && before == nil:
		k.logger.Warn("an issuer's keys cannot be fetched; the last ones stay, and it is tried again", "have_keys", k.current.Load() != nil, "error", err)
	case err == nil && before != nil:
		k.logger.Info("an issuer's keys can be fetched again")
	}
	if err != nil {
		return fetchApart
	}
	return refreshEvery
}

// release lets those go on who wait. It is called with mu held.
func (k *keys) release() {
	close(k.done)
	k.done, k.waiting = make(chan struct{}), 0
	select { // what they asked for is done
	case <-k.wanted:
	default:
	}
}

func (k *keys) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed, k.failed = true, errStopping
	k.release()
}
