package authz

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/rueidis"
)

// shares fails the test unless two replicas share a token through this Redis.
func shares(t *testing.T, cfg RedisConfig) {
	t.Helper()
	keys := loadedKeyring(t, KeyringConfig{})
	one, two := replica(t, keys, runRedis(t, cfg, true)), replica(t, keys, runRedis(t, cfg, true))
	p := pairOf("web", "orders")
	token := mustToken(t, one, p)
	eventually(t, "the token is in Redis", func() bool {
		name, _ := place(keys.current.Load().keys[0], p)
		value, err := two.cfg.Remote.get(t.Context(), name)
		return err == nil && len(value) > 0
	})
	if mustToken(t, two, p).Raw != token.Raw {
		t.Error("it was signed anew")
	}
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", freePort(t))
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.address}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Do(t.Context(), client.B().Arbitrary("CLUSTER", "ADDSLOTSRANGE", "0", "16383").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is well", func() bool {
		return client.Do(t.Context(), client.B().Set().Key("x").Value("x").Build()).Error() == nil
	})
	shares(t, RedisConfig{Addresses: []string{server.address}})
}

func TestRedisBehindSentinel(t *testing.T) {
	t.Parallel()
	master := startRedis(t)
	host, port := "127.0.0.1", master.address[len("127.0.0.1:"):]
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte("sentinel monitor tokens "+host+" "+port+" 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := freePort(t)
	sentinel := &redisServer{address: "127.0.0.1:" + listen, args: []string{file, "--sentinel", "--port", listen, "--bind", "127.0.0.1"}}
	sentinel.start(t)
	t.Cleanup(sentinel.kill)
	shares(t, RedisConfig{Addresses: []string{sentinel.address}, SentinelMaster: "tokens"})
}

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	certificate := a.issue(t)
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"ca.pem":   a.pem(),
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secure := freePort(t)
	startRedis(t, "--tls-port", secure, "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"),
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-auth-clients", "yes")
	shares(t, RedisConfig{Addresses: []string{"127.0.0.1:" + secure}, TLS: &tls.Config{
		RootCAs: a.pool(), Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
	}})
}
