package authz

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"time"
)

// maxWrites bounds the tokens that wait to be written to Redis. Further ones are
// not written: another replica signs its own.
const maxWrites = 4096

// write is a token that Redis is to be given.
type write struct {
	name  string
	place []byte
	token *Token
}

// place names a token in Redis: it tells nothing about the pair, and each part
// is preceded by its length, so that no two pairs have one name.
func place(k *key, p Pair) (name string, sum []byte) {
	parts := make([]byte, 0, 512)
	for _, part := range [...]string{k.id, p.Caller, p.Callee, p.User} {
		parts = binary.BigEndian.AppendUint32(parts, uint32(len(part)))
		parts = append(parts, part...)
	}
	hash := sha256.Sum256(parts)
	return "heddle:authz:1:" + base64.RawURLEncoding.EncodeToString(hash[:]), hash[:]
}

// fetch takes a token from Redis. What is there is not believed: it has to open
// with the key's seal for this place, and then to be a token of ours for this
// pair that lives long enough. nil when there is no such.
func (i *Issuer) fetch(ctx context.Context, keys *keySet, k *key, p Pair) *Token {
	if i.cfg.Remote == nil {
		return nil
	}
	name, sum := place(k, p)
	value, err := i.cfg.Remote.get(ctx, name)
	if err != nil {
		i.metrics.redisFailed.Inc()
		return nil
	}
	if len(value) == 0 {
		return nil
	}
	t, err := i.unseal(keys, k, p, value, sum)
	if err != nil {
		i.metrics.redisRefused.Inc()
		i.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "Redis gave a token that is not taken", slog.String("key", name), slog.Any("error", err))
		return nil
	}
	if !i.cfg.Now().Before(t.lastUse) {
		return nil
	}
	i.metrics.redis.Inc()
	return t
}

func (i *Issuer) unseal(keys *keySet, k *key, p Pair, value, sum []byte) (*Token, error) {
	raw, err := opened(k.seal, value, sum)
	if err != nil {
		return nil, err
	}
	m := markOf(sum, value)
	if v, is := i.known.GetIfPresent(m); is && keys.has(v.key) {
		return i.token(string(raw), v.expires, v.key), nil
	}
	by, expires, err := keys.verify(string(raw), i.cfg.Issuer, p, i.cfg.Now())
	if err != nil {
		return nil, err
	}
	i.known.Set(m, verdict{by, expires})
	return i.token(string(raw), expires, by), nil
}

// maxKnown bounds the verified tokens that are remembered, of about 100 bytes each.
const maxKnown = 100_000

// mark stands for a sealed token at its place in Redis: the place, and what the
// seal put around the token. A value that opens and has the mark of another one is
// that one, unless somebody has the seal's key, who then can sign tokens too.
type mark struct {
	place [sha256.Size]byte
	seal  [12 + 16]byte // nonce and tag of AES-GCM
}

// verdict is what came of verifying a token: that takes longer than all else, and
// comes out the same each time but for the clock, which [Issuer.fetch] looks at.
type verdict struct {
	key     *key
	expires time.Time
}

func markOf(place, value []byte) (m mark) {
	copy(m.place[:], place)
	copy(m.seal[:12], value)
	copy(m.seal[12:], value[len(value)-16:])
	return m
}

// keep has a token written to Redis, soon.
func (i *Issuer) keep(p Pair, t *Token) {
	if i.cfg.Remote == nil {
		return
	}
	name, sum := place(t.key, p)
	select {
	case i.writes <- write{name: name, place: sum, token: t}:
	default:
		i.metrics.redisDropped.Inc()
	}
}

func (i *Issuer) store(ctx context.Context, w write) {
	life := w.token.lastUse.Sub(i.cfg.Now())
	if life < time.Second {
		return
	}
	value := sealed(w.token.key.seal, []byte(w.token.Raw), w.place)
	if err := i.cfg.Remote.set(ctx, w.name, value, life); err != nil {
		i.metrics.redisFailed.Inc()
		return
	}
	i.known.Set(markOf(w.place, value), verdict{w.token.key, w.token.Expires})
}
