package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/authz/edge"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// authzFlags say how the AuthZ service works, alone or inside heddle server.
type authzFlags struct {
	Issuer       string        `placeholder:"URL" help:"What tokens name as their issuer (iss), and where validators find the OpenID document. Default: https:// and the trust domain."`
	TokenLife    time.Duration `default:"15m" help:"How long a token lives."`
	CacheLife    time.Duration `default:"14m30s" help:"How long a token is handed out; at least 30s less than it lives."`
	RefreshAhead time.Duration `default:"1m" help:"How long before that ends another is made, while the old one is still handed out."`

	MemoryEntries int `default:"50000" help:"How many tokens are kept in this process, of about 2 KB each."`

	KeyType      string        `enum:"rsa-2048,rsa-3072,rsa-4096,es256,eddsa" default:"rsa-2048" help:"Kind of the signing keys made from now on: rsa-2048, rsa-3072, rsa-4096, es256 or eddsa."`
	KeyDir       string        `type:"path" placeholder:"DIR" help:"Folder that the signing keys are kept in, readable for this user only. For one AuthZ service on one machine."`
	KeyFile      string        `type:"path" placeholder:"FILE" help:"Secret of at least 32 bytes (openssl rand -hex 32) that encrypts the signing keys in etcd, where all AuthZ services of the cluster share them."`
	RotateEvery  time.Duration `default:"720h" help:"How long a key signs."`
	PublishAhead time.Duration `default:"1h" help:"How long a key is published before it signs; longer than any validator keeps the key set."`

	CertFile string `type:"path" placeholder:"FILE" help:"PEM certificate for sidecars' connections, read again for each; with the next two, instead of an identity of Heddle's own."`
	CertKey  string `name:"cert-key-file" type:"path" placeholder:"FILE" help:"PEM key of that certificate."`
	ClientCA string `name:"client-ca-file" type:"path" placeholder:"FILE" help:"PEM certificates that sidecars' certificates are verified with. Who calls is taken from those (SPIFFE ID)."`

	Advertise string `placeholder:"IP:PORT" help:"Where sidecars are told to ask. Default: where the service listens, if it has an identity of the mesh; needed if that is no address of its own, such as 0.0.0.0."`

	InsecurePlainCallers bool `help:"Listen without TLS, and believe each request about who calls. For development only: neither it nor its keys are made known to sidecars."`

	EdgeConfig string `type:"path" placeholder:"FILE" help:"JSON file that names who proves users at gateways: Cloudflare Access, OIDC issuers. Default: nobody does."`

	Redis         []string      `placeholder:"HOST:PORT" help:"Redis that AuthZ services share tokens through: one server, nodes of a Cluster, or Sentinels. Default: none."`
	RedisMaster   string        `name:"redis-sentinel-master" placeholder:"NAME" help:"The addresses are Sentinels, which watch a master of this name."`
	RedisUser     string        `placeholder:"NAME" help:"ACL user of Redis."`
	RedisPassword string        `name:"redis-password-file" type:"path" placeholder:"FILE" help:"File that holds the password for Redis."`
	RedisTLS      bool          `help:"Connect to Redis with TLS."`
	RedisCA       string        `name:"redis-ca-file" type:"path" placeholder:"FILE" help:"PEM certificates that Redis's certificate is verified with. Default: those of this machine."`
	RedisCert     string        `name:"redis-cert-file" type:"path" placeholder:"FILE" help:"PEM client certificate for Redis."`
	RedisKey      string        `name:"redis-key-file" type:"path" placeholder:"FILE" help:"PEM key of that certificate."`
	RedisTimeout  time.Duration `default:"50ms" help:"How long one question to Redis may take; then it is done without."`
}

// keyStore gives the place of the signing keys; fallback is the folder when no
// flag names a place, or "".
func (f *authzFlags) keyStore(store *registry.Store, fallback string) (authz.KeyStore, error) {
	switch {
	case f.KeyDir != "" && f.KeyFile != "":
		return nil, f.wrong("--key-dir keeps the signing keys in files and --key-file encrypts them in etcd: give one of them")
	case f.KeyDir != "":
		return authz.Dir(f.KeyDir), nil
	case f.KeyFile != "":
		secret, err := os.ReadFile(f.KeyFile)
		if err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the secret that encrypts the signing keys; make one with: openssl rand -hex 32", Err: err}
		}
		return authz.NewSealed(store.SigningKeys(), bytes.TrimSpace(secret))
	case fallback != "":
		return authz.Dir(fallback), nil
	}
	return nil, f.wrong("where are the signing keys kept? In etcd, shared by all AuthZ services (--key-file), or in a folder of this machine (--key-dir)")
}

// wrong is a combination of flags that cannot be.
func (*authzFlags) wrong(message string) error {
	return &cli.Hinted{Err: &cli.UsageError{Message: message}, Hint: "see: heddle authz --help; in heddle server these flags begin with --authz-"}
}

// check finds flags that make no sense. identity says that the service has one of
// Heddle's own, for callers' connections.
func (f *authzFlags) check(identity bool) error {
	files := 0
	for _, one := range []string{f.CertFile, f.CertKey, f.ClientCA} {
		if one != "" {
			files++
		}
	}
	switch {
	case f.MemoryEntries < 1:
		return f.wrong("--memory-entries is 1 at least")
	case f.PublishAhead < 10*time.Minute || f.RotateEvery < 2*f.PublishAhead:
		return f.wrong("--publish-ahead is 10m at least, twice as long as validators keep the key set, and --rotate-every at least twice that")
	case files == 0 && !f.InsecurePlainCallers && !identity:
		return f.wrong("who calls is proven by certificates: give --identity-dir (in heddle server: --tls-listen), or your own by --cert-file, --cert-key-file and --client-ca-file, or, for development, --insecure-plain-callers")
	case (files > 0 || identity) && f.InsecurePlainCallers:
		return f.wrong("--insecure-plain-callers is instead of certificates: give one of them")
	case files > 0 && identity:
		return f.wrong("--cert-file, --cert-key-file and --client-ca-file are instead of --identity-dir: give one of them")
	case f.Advertise != "" && f.InsecurePlainCallers:
		return f.wrong("--advertise says where sidecars ask, and with --insecure-plain-callers they are not told to: give one of them")
	case files > 0 && files < 3:
		return f.wrong("--cert-file, --cert-key-file and --client-ca-file go together: give all three")
	case len(f.Redis) == 0 && (f.RedisMaster+f.RedisUser+f.RedisPassword+f.RedisCA+f.RedisCert+f.RedisKey != "" || f.RedisTLS):
		return f.wrong("the --redis-… flags say how Redis is reached: they need --redis")
	case (f.RedisCA+f.RedisCert+f.RedisKey != "") && !f.RedisTLS:
		return f.wrong("--redis-ca-file, --redis-cert-file and --redis-key-file need --redis-tls")
	case (f.RedisCert == "") != (f.RedisKey == ""):
		return f.wrong("--redis-cert-file and --redis-key-file go together: give both, or neither")
	}
	return nil
}

// providers reads who proves users at gateways; nil when nobody does.
func (f *authzFlags) providers(registerer prometheus.Registerer, logger *slog.Logger) (*edge.Providers, error) {
	if f.EdgeConfig == "" {
		return nil, nil //nolint:nilnil // none is asked for
	}
	cfg, err := edge.Read(f.EdgeConfig)
	if err != nil {
		return nil, err
	}
	return edge.New(cfg, nil, registerer, logger)
}

// redis makes the shared cache; nil when none is asked for.
func (f *authzFlags) redis(logger *slog.Logger) (*authz.Redis, error) {
	if len(f.Redis) == 0 {
		return nil, nil //nolint:nilnil // none is asked for
	}
	cfg := authz.RedisConfig{
		Addresses: f.Redis, SentinelMaster: f.RedisMaster, Username: f.RedisUser, PasswordFile: f.RedisPassword,
		Timeout: f.RedisTimeout, Logger: logger,
	}
	if f.RedisTLS {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if f.RedisCA != "" {
			pool, err := readPool(f.RedisCA)
			if err != nil {
				return nil, err
			}
			cfg.TLS.RootCAs = pool
		}
		if f.RedisCert != "" {
			certificate, err := tls.LoadX509KeyPair(f.RedisCert, f.RedisKey)
			if err != nil {
				return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the client certificate for Redis", Err: err}
			}
			cfg.TLS.Certificates = []tls.Certificate{certificate}
		}
	}
	return authz.NewRedis(cfg)
}

func readPool(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read certificates", Err: err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read certificates: " + file + " holds no PEM certificate"}
	}
	return pool, nil
}

// callerTLS reads the files for sidecars' connections anew for each, so that
// they may be replaced while the service runs; while they cannot be read the
// last ones stay. nil: connections are in plain text.
func (f *authzFlags) callerTLS(logger *slog.Logger) (func() (*tls.Config, error), error) {
	if f.InsecurePlainCallers {
		return nil, nil //nolint:nilnil // no TLS is no error
	}
	var last atomic.Pointer[tls.Config]
	read := func() (*tls.Config, error) {
		certificate, err := tls.LoadX509KeyPair(f.CertFile, f.CertKey)
		if err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the certificate for sidecars' connections", Err: err}
		}
		pool, err := readPool(f.ClientCA)
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, ClientCAs: pool}, err
	}
	first, err := read()
	last.Store(first)
	return func() (*tls.Config, error) {
		now, err := read()
		if err != nil {
			logger.Warn("the last certificates for sidecars' connections stay in force", "error", err)
			return last.Load(), nil
		}
		last.Store(now)
		return now, nil
	}, err
}
