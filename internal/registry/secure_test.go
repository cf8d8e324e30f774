package registry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/auth"
	"google.golang.org/grpc/metadata"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// authority is a certificate authority and the files of one pair that it signed
// for 127.0.0.1.
type authority struct{ ca, cert, key string }

func newAuthority(t *testing.T) authority {
	t.Helper()
	dir := t.TempDir()
	caKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leafKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	write := func(name, kind string, der []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return authority{
		ca:   write("ca.pem", "CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey))),
		cert: write("cert.pem", "CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey))),
		key:  write("key.pem", "PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(leafKey))),
	}
}

// secureEtcd is an etcd that asks for client certificates and passwords. The
// user heddle may touch nothing but our keys.
func secureEtcd(t *testing.T, a authority) (cfg registry.Config, etcd member, root *clientv3.Client) {
	t.Helper()
	ec := memberConfig(t, "secure", "https")
	ec.ClientTLSInfo = transport.TLSInfo{CertFile: a.cert, KeyFile: a.key, TrustedCAFile: a.ca, ClientCertAuth: true}
	ec.AuthTokenTTL = 1 // second
	ec.BcryptCost = 4   // the least: logging in is not what is tested
	etcd = startMember(t, ec)
	<-etcd.Server.ReadyNotify()
	endpoints := []string{ec.ListenClientUrls[0].String()}
	tlsConfig := must[*tls.Config](t)(transport.TLSInfo{CertFile: a.cert, KeyFile: a.key, TrustedCAFile: a.ca}.ClientConfig())

	ctx := t.Context()
	client := must[*clientv3.Client](t)(clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: tlsConfig}))
	defer client.Close()
	must[*clientv3.AuthUserAddResponse](t)(client.UserAdd(ctx, "root", "r00t"))
	must[*clientv3.AuthUserGrantRoleResponse](t)(client.UserGrantRole(ctx, "root", "root"))
	must[*clientv3.AuthRoleAddResponse](t)(client.RoleAdd(ctx, "mesh"))
	must[*clientv3.AuthRoleGrantPermissionResponse](t)(client.RoleGrantPermission(ctx, "mesh", "/heddle/v1/", clientv3.GetPrefixRangeEnd("/heddle/v1/"), clientv3.PermissionType(clientv3.PermReadWrite)))
	must[*clientv3.AuthUserAddResponse](t)(client.UserAdd(ctx, "heddle", "secret"))
	must[*clientv3.AuthUserGrantRoleResponse](t)(client.UserGrantRole(ctx, "heddle", "mesh"))
	must[*clientv3.AuthEnableResponse](t)(client.AuthEnable(ctx))

	root = must[*clientv3.Client](t)(clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: tlsConfig, Username: "root", Password: "r00t"}))
	t.Cleanup(func() { _ = root.Close() })
	return registry.Config{
		Endpoints: endpoints, CAFile: a.ca, CertFile: a.cert, KeyFile: a.key, Timeout: 2 * time.Second,
		Username: "heddle", PasswordFile: passwordFile(t, "secret\n"),
	}, etcd, root
}

func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAClusterWithCertificatesAndPasswords(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	cfg, _, root := secureEtcd(t, a)
	refused := map[string]struct {
		change func(*registry.Config)
		kind   mesh.ErrorKind
	}{
		"wrong password":              {func(c *registry.Config) { c.PasswordFile = passwordFile(t, "wrong") }, mesh.KindUnavailable},
		"no such user":                {func(c *registry.Config) { c.Username = "nobody" }, mesh.KindUnavailable},
		"no user":                     {func(c *registry.Config) { c.Username, c.PasswordFile = "", "" }, mesh.KindUnavailable},
		"another authority":           {func(c *registry.Config) { c.CAFile = stranger.ca }, mesh.KindUnavailable},
		"another client certificate":  {func(c *registry.Config) { c.CertFile, c.KeyFile = stranger.cert, stranger.key }, mesh.KindUnavailable},
		"no client certificate":       {func(c *registry.Config) { c.CertFile, c.KeyFile = "", "" }, mesh.KindUnavailable},
		"no such password file":       {func(c *registry.Config) { c.PasswordFile = "absent" }, mesh.KindInvalid},
		"no such authority's file":    {func(c *registry.Config) { c.CAFile = "absent" }, mesh.KindInvalid},
		"a key of another's":          {func(c *registry.Config) { c.KeyFile = stranger.key }, mesh.KindInvalid},
		"a password, but for no user": {func(c *registry.Config) { c.Username = "" }, mesh.KindInvalid},
		"a user without a password":   {func(c *registry.Config) { c.PasswordFile = "" }, mesh.KindInvalid},
	}
	for name, one := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := cfg
			one.change(&wrong)
			start := time.Now()
			s, err := registry.Open(t.Context(), wrong)
			if err == nil {
				_ = s.Close()
			}
			wantKind(t, err, one.kind)
			if took := time.Since(start); took > 2*cfg.Timeout {
				t.Errorf("it took %s to say so", took)
			}
			t.Log(err)
		})
	}
	t.Run("right", func(t *testing.T) {
		t.Parallel()
		s := must[*registry.Store](t)(registry.Open(t.Context(), cfg))
		defer s.Close()
		usesEverything(t, s)
		// A change of roles makes etcd refuse the tokens given out before.
		must[*clientv3.AuthRoleAddResponse](t)(root.RoleAdd(t.Context(), "another"))
		usesEverything(t, s)
	})
}

// usesEverything makes each kind of call to etcd once.
func usesEverything(t *testing.T, s *registry.Store) {
	t.Helper()
	ctx := t.Context()
	must[mesh.Service](t)(s.PutService(ctx, service("orders"), registry.Write{RequestID: rand.Text()}))
	one := must[[]mesh.Instance](t)(s.Register(ctx, []mesh.Instance{instance("orders", "1")}, time.Minute, registry.Write{}))[0]
	must[time.Duration](t)(s.Renew(ctx, one.Key(), one.Epoch))
	_, secret, err := s.CreateToken(ctx, registry.Token{}, registry.Write{})
	if err != nil {
		t.Fatal(err)
	}
	must[registry.Token](t)(s.Authenticate(ctx, secret))
	ended, cancel := context.WithCancel(ctx)
	s.Watch(ended, registry.WatchConfig{}, func(registry.Batch) { cancel() })
	if err := s.Deregister(ctx, one.Key(), "", registry.Write{}); err != nil {
		t.Fatal(err)
	}
}

// forgetsLogins waits until etcd has forgotten a login that is made now, and with
// it those that were used last before. The clock is etcd's own, and to look
// whether a login is known prolongs it: so the looks are further apart than a
// login lasts.
func (m member) forgetsLogins(t *testing.T) {
	t.Helper()
	login := must[*pb.AuthenticateResponse](t)(m.Server.Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "heddle", Password: "secret"}))
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(rpctypes.TokenFieldNameGRPC, login.Token))
	for range 5 {
		<-time.After(2500 * time.Millisecond)
		if _, err := m.Server.AuthStore().AuthInfoFromCtx(ctx); errors.Is(err, auth.ErrInvalidAuthToken) {
			return
		}
	}
	t.Fatal("etcd remembers a login that nobody has used for longer than it lasts")
}

// TestAStoreLogsInAgain uses a store and its watch after etcd has forgotten all
// logins: by their age, and by a restart.
func TestAStoreLogsInAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a login has grown old: not with -short")
	}
	t.Parallel()
	cfg, etcd, root := secureEtcd(t, newAuthority(t))
	_ = root.Close()
	s := must[*registry.Store](t)(registry.Open(t.Context(), cfg))
	t.Cleanup(func() { _ = s.Close() })
	etcd.forgetsLogins(t)
	usesEverything(t, s)

	w := watch(t, s, registry.WatchConfig{})
	w.wants(t, "service/orders")
	etcd.stop()
	config := etcd.Config()
	again := startMember(t, &config)
	<-again.Server.ReadyNotify()
	other := must[*registry.Store](t)(registry.Open(t.Context(), cfg))
	defer other.Close()
	must[mesh.Service](t)(other.PutService(t.Context(), service("new"), registry.Write{}))
	w.wants(t, "service/new", "service/orders")
	usesEverything(t, s)
}
