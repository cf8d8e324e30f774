package authz

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

func BenchmarkMemoryHit(b *testing.B) {
	i := runIssuer(b, IssuerConfig{})
	p := pairOf("web", "orders")
	mustToken(b, i, p)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Token(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRedisHit has room for one token, so that all others come from Redis.
func BenchmarkRedisHit(b *testing.B) {
	server := startRedis(b)
	cache := runRedis(b, RedisConfig{Addresses: []string{server.address}, Timeout: time.Second}, true)
	i := runIssuer(b, IssuerConfig{Keys: loadedKeyring(b, KeyringConfig{Type: RSA2048}), Remote: cache, Entries: 1})
	var pairs [1000]Pair
	for n := range pairs {
		pairs[n] = pairOf("web", fmt.Sprint("callee-", n))
		mustToken(b, i, pairs[n])
	}
	var serial atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := i.Token(b.Context(), pairs[serial.Add(1)%1000]); err != nil {
				b.Error(err)
			}
		}
	})
}
