package authz

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/redis/rueidis"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxStored bounds what is read of a value in Redis, in bytes. Ours are smaller.
const maxStored = maxTokenSize + 64

// errRedisAway is why Redis was not asked.
var errRedisAway = errors.New("redis is away")

// RedisConfig says how Redis is reached. One address is a Redis of its own or
// any node of a Cluster, which says itself what it is.
type RedisConfig struct {
	Addresses      []string // host:port; with SentinelMaster those of the Sentinels
	SentinelMaster string   // name of the master that the Sentinels watch
	Username       string   // of an ACL user; default: Redis's own default user
	PasswordFile   string   // read again for each connection
	TLS            *tls.Config
	Timeout        time.Duration // of each read and write; default 50 ms
	Logger         *slog.Logger  // default: discard
}

// Redis is the cache that replicas share. Nothing depends on it: what it does
// not give in time is signed anew. A Redis that fails five times in a row is left
// alone for a second, reads and writes apart.
type Redis struct {
	cfg    RedisConfig
	client atomic.Pointer[rueidis.Client] // nil until the first connection
	reads  circuitbreaker.CircuitBreaker[any]
	writes circuitbreaker.CircuitBreaker[any]
}

// NewRedis makes a cache, which connects in [Redis.Run].
func NewRedis(cfg RedisConfig) (*Redis, error) {
	for _, address := range cfg.Addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("reach Redis: %q is not HOST:PORT, such as 127.0.0.1:6379", address)}
		}
	}
	if cfg.PasswordFile != "" {
		if _, err := os.ReadFile(cfg.PasswordFile); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the password for Redis", Err: err}
		}
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 50*time.Millisecond)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Redis{cfg: cfg}
	r.reads, r.writes = r.breaker("reads"), r.breaker("writes")
	return r, nil
}

func (r *Redis) breaker(what string) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().WithFailureThreshold(5).WithDelay(time.Second).WithSuccessThreshold(1).
		OnOpen(func(e circuitbreaker.StateChangedEvent) {
			if e.OldState == circuitbreaker.ClosedState {
				r.cfg.Logger.Warn("Redis fails; going on without it", "what", what)
			}
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) { r.cfg.Logger.Info("Redis works again", "what", what) }).
		Build()
}

// Run connects, as often as it takes, and ends the connection with ctx. Once
// there was one, the client itself connects again.
func (r *Redis) Run(ctx context.Context) error {
	failed := false
	for {
		client, err := r.connect()
		if err == nil {
			r.client.Store(&client)
			r.cfg.Logger.Info("connected to Redis", "addresses", r.cfg.Addresses)
			<-ctx.Done()
			r.client.Store(nil)
			client.Close()
			return nil
		}
		if !failed {
			r.cfg.Logger.Warn("Redis cannot be reached; trying again, and going on without it", "addresses", r.cfg.Addresses, "error", err)
		}
		failed = true
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (r *Redis) connect() (rueidis.Client, error) {
	credentials := func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
		c := rueidis.AuthCredentials{Username: r.cfg.Username}
		if r.cfg.PasswordFile == "" {
			return c, nil
		}
		password, err := os.ReadFile(r.cfg.PasswordFile)
		c.Password = strings.TrimRight(string(password), "\r\n")
		return c, err
	}
	option := rueidis.ClientOption{
		InitAddress: r.cfg.Addresses, TLSConfig: r.cfg.TLS,
		Dialer:           net.Dialer{Timeout: time.Second, KeepAlive: time.Second},
		ConnWriteTimeout: time.Second, // a connection that says nothing for that long is replaced
		DisableRetry:     true, DisableCache: true,
		PipelineMultiplex: -1, // one connection to each server: what waits at the same time goes out together
		Sentinel:          rueidis.SentinelOption{MasterSet: r.cfg.SentinelMaster, TLSConfig: r.cfg.TLS},
	}
	if r.cfg.Username != "" || r.cfg.PasswordFile != "" {
		option.AuthCredentialsFn = credentials
	}
	return rueidis.NewClient(option)
}

// get reads a value; nil when there is none.
func (r *Redis) get(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := r.ask(ctx, r.reads, func(ctx context.Context, client rueidis.Client) (err error) {
		value, err = client.Do(ctx, client.B().Getrange().Key(name).Start(0).End(maxStored).Build()).AsBytes()
		return err
	})
	return value, err
}

// set writes a value that ends by itself.
func (r *Redis) set(ctx context.Context, name string, value []byte, life time.Duration) error {
	return r.ask(ctx, r.writes, func(ctx context.Context, client rueidis.Client) error {
		return client.Do(ctx, client.B().Set().Key(name).Value(rueidis.BinaryString(value)).Px(life).Build()).Error()
	})
}

// ask asks Redis unless it is known to fail, and no longer than it may take.
func (r *Redis) ask(ctx context.Context, breaker circuitbreaker.CircuitBreaker[any], do func(context.Context, rueidis.Client) error) error {
	client := r.client.Load()
	if client == nil || !breaker.TryAcquirePermit() {
		return errRedisAway
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	err := do(ctx, *client)
	if answer, is := rueidis.IsRedisErr(err); err == nil || is && strings.HasPrefix(answer.Error(), "WRONGTYPE") {
		breaker.RecordSuccess() // somebody wrote something else there; Redis itself is well
		return err
	}
	breaker.RecordFailure()
	return err
}
