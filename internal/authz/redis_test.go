package authz

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
)

// redisServer is a real one, on a port of its own.
type redisServer struct {
	address string
	process *exec.Cmd
	args    []string
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed: run hack/system.sh redis-server")
	}
	port := freePort(t)
	s := &redisServer{address: "127.0.0.1:" + port, args: append([]string{
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
	}, args...)}
	s.start(t)
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *redisServer) start(t testing.TB) {
	t.Helper()
	s.process = exec.CommandContext(context.Background(), "redis-server", s.args...)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "redis-server listens", func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (s *redisServer) kill() {
	_ = s.process.Process.Kill() // fails only if it has ended
	_ = s.process.Wait()
}

func (s *redisServer) client(t testing.TB) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.address}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// runRedis runs a cache until the test ends; it is connected if it can be.
func runRedis(t testing.TB, cfg RedisConfig, connected bool) *Redis {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second // for busy machines; those that test it set it
	}
	r, err := NewRedis(cfg)
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, r.Run)
	if connected {
		eventually(t, "connected to Redis", func() bool { return r.client.Load() != nil })
	}
	return r
}

// replica is an AuthZ service's issuer with these keys and this Redis.
func replica(t testing.TB, keys *Keyring, redis *Redis) *Issuer {
	t.Helper()
	return runIssuer(t, IssuerConfig{Keys: keys, Remote: redis, Registerer: prometheus.NewRegistry()})
}

func keysIn(t testing.TB, client rueidis.Client) []string {
	t.Helper()
	names, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestReplicasShareTokensThroughRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	keys := loadedKeyring(t, KeyringConfig{})
	one := replica(t, keys, runRedis(t, RedisConfig{Addresses: []string{server.address}}, true))
	two := replica(t, keys, runRedis(t, RedisConfig{Addresses: []string{server.address}}, true))
	p, client := pairOf("web", "orders"), server.client(t)
	first := mustToken(t, one, p)
	eventually(t, "it is in Redis", func() bool { return len(keysIn(t, client)) == 1 })
	if second := mustToken(t, two, p); second.Raw != first.Raw || signed(two) != 0 {
		t.Errorf("the second replica signed %d", signed(two))
	}
	// What is there tells nothing, and ends by itself.
	name := keysIn(t, client)[0]
	value, _ := client.Do(t.Context(), client.B().Get().Key(name).Build()).ToString()
	for _, part := range []string{"web", "orders", "eyJ", first.Raw} {
		if strings.Contains(value, part) || strings.Contains(name, part) {
			t.Errorf("Redis shows %q: %q = %q", part, name, value)
		}
	}
	left, _ := client.Do(t.Context(), client.B().Pttl().Key(name).Build()).AsInt64()
	if life := time.Duration(left) * time.Millisecond; life > DefaultTokenLife-MinimumLeft || life < DefaultTokenLife-2*MinimumLeft {
		t.Errorf("it ends in %s", life)
	}
}

// Whatever stands in Redis, no wrong token is given.
func TestPoisonedRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := server.client(t)
	keys := loadedKeyring(t, KeyringConfig{})
	cache := runRedis(t, RedisConfig{Addresses: []string{server.address}}, true)
	k := keys.current.Load().keys[0]
	p, other := pairOf("web", "orders"), pairOf("web", "ledger")
	writer := replica(t, keys, cache)
	token := mustToken(t, writer, other)
	foreign := loadedKeyring(t, KeyringConfig{}).current.Load().keys[0]
	name, sum := place(k, p)
	_, otherSum := place(k, other)
	mint := func(by *key, issuer string, p Pair, at time.Time) []byte {
		raw, _, err := by.mint(issuer, p, at, DefaultTokenLife)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(raw)
	}
	for what, value := range map[string][]byte{
		"empty":                               {},
		"one byte":                            {0},
		"noise":                               []byte(strings.Repeat("x", 900)),
		"8 MiB":                               make([]byte, 8<<20),
		"another pair's value":                sealed(k.seal, []byte(token.Raw), otherSum),
		"another pair's token, sealed for us": sealed(k.seal, []byte(token.Raw), sum),
		"a token in the clear":                mint(k, testIssuer, p, time.Now()),
		"a token of another key":              sealed(k.seal, mint(foreign, testIssuer, p, time.Now()), sum),
		"a token of another issuer":           sealed(k.seal, mint(k, "https://evil.test", p, time.Now()), sum),
		"a token that has ended":              sealed(k.seal, mint(k, testIssuer, p, time.Now().Add(-DefaultTokenLife)), sum),
		"a token that ends in 20 s":           sealed(k.seal, mint(k, testIssuer, p, time.Now().Add(20*time.Second-DefaultTokenLife)), sum),
		"a token of tomorrow":                 sealed(k.seal, mint(k, testIssuer, p, time.Now().AddDate(0, 0, 1)), sum),
		"no token, sealed for us":             sealed(k.seal, []byte("hello"), sum),
	} {
		t.Run(what, func(t *testing.T) { // its issuer's own write has ended when it ends
			if err := client.Do(t.Context(), client.B().Set().Key(name).Value(rueidis.BinaryString(value)).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			i := replica(t, keys, cache)
			got := mustToken(t, i, p)
			if signed(i) != 1 {
				t.Errorf("it was taken: %s", got.Raw)
			}
		})
	}
	if err := client.Do(t.Context(), client.B().Arbitrary("DEL").Keys(name).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), client.B().Lpush().Key(name).Element("x").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if i := replica(t, keys, cache); mustToken(t, i, p) == nil || signed(i) != 1 {
		t.Error("a list: it was taken")
	}
	if !cache.reads.IsClosed() {
		t.Error("poison has Redis taken for broken")
	}
}

// Redis may come, go, hang, lose everything and refuse writes: there is always a
// token, soon.
func TestRedisIsOptional(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	cfg := RedisConfig{Addresses: []string{server.address}, Timeout: 50 * time.Millisecond}
	cache := runRedis(t, cfg, true)
	i := replica(t, loadedKeyring(t, KeyringConfig{}), cache)
	client := server.client(t)
	serial := 0
	slowest := func(n int) (slowest time.Duration) {
		for range n {
			serial++
			begin := time.Now()
			mustToken(t, i, pairOf("web", fmt.Sprint("s", serial)))
			slowest = max(slowest, time.Since(begin))
		}
		return slowest
	}
	slowest(3)
	if err := client.Do(t.Context(), client.B().Flushall().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	slowest(3)
	if err := client.Do(t.Context(), client.B().Arbitrary("REPLICAOF", "127.0.0.1", "1").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	slowest(30) // read-only
	if err := client.Do(t.Context(), client.B().Arbitrary("REPLICAOF", "NO", "ONE").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), client.B().Arbitrary("CLIENT", "PAUSE", "3000", "ALL").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if most := slowest(50); most > time.Second {
		t.Errorf("with a Redis that hangs a token took %s", most)
	}
	if took := time.Since(begin); took > 2*time.Second { // five times the timeout, then none
		t.Errorf("with a Redis that hangs 50 tokens took %s", took)
	}
	server.kill()
	slowest(50)
	server.start(t)
	eventually(t, "Redis is used again", func() bool {
		slowest(1)
		return len(keysIn(t, server.client(t))) > 0
	})
}

func TestRedisThatIsNotThereAtTheStart(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	server.kill()
	cache := runRedis(t, RedisConfig{Addresses: []string{server.address}}, false)
	i := replica(t, loadedKeyring(t, KeyringConfig{}), cache)
	mustToken(t, i, pairOf("web", "orders"))
	server.start(t)
	eventually(t, "it is connected to", func() bool { return cache.client.Load() != nil })
}

func TestRedisWithAnACLUser(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(users, []byte("user default off\nuser heddle on >secret ~heddle:authz:* +getrange +set +ping +hello +client +cluster|slots +cluster|shards\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startRedis(t, "--aclfile", users)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := RedisConfig{Addresses: []string{server.address}, Username: "heddle", PasswordFile: password}
	keys := loadedKeyring(t, KeyringConfig{})
	one, two := replica(t, keys, runRedis(t, cfg, true)), replica(t, keys, runRedis(t, cfg, true))
	token := mustToken(t, one, pairOf("web", "orders"))
	eventually(t, "the token is shared", func() bool {
		name, _ := place(keys.current.Load().keys[0], pairOf("web", "orders"))
		value, err := two.cfg.Remote.get(t.Context(), name)
		return err == nil && len(value) > 0
	})
	if mustToken(t, two, pairOf("web", "orders")).Raw != token.Raw {
		t.Error("it was signed anew")
	}
}
