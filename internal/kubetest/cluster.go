package kubetest

import (
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Config says what is different of a cluster. The zero value is one as most
// tests want it.
type Config struct {
	// APIServer are further flags of the API server, e.g. "--watch-cache=false"
	// or "--audit-log-path=FILE"; they come after ours.
	APIServer []string
	// Tokens are bearer tokens of users, for those who need a token before
	// the API server starts; [Cluster.User] makes users at any time.
	Tokens []Token
	// NoControllers leaves the controller manager out. Then there are no
	// EndpointSlices but those that the test writes, namespaces that are deleted
	// stay, and nothing is collected with its owner.
	NoControllers bool
}

// Token is a bearer token that the API server knows from its start.
type Token struct {
	Token, User string
	Groups      []string
}

// Cluster is a running Kubernetes without hosts: etcd, the API server, and the
// controller manager.
type Cluster struct {
	// Config reaches the API server as an administrator, without a limit to
	// requests. Copy it (rest.CopyConfig) before you change it.
	Config *rest.Config
	// Client is a client of it.
	Client kubernetes.Interface
	// Kubeconfig is a file for programs, with the same rights as Config.
	Kubeconfig string
	// CA is the certificate that signed the API server's, as PEM.
	CA []byte

	programs    programs
	folder      string
	authority   *authority
	etcdURL     string
	serverFlags []string
	etcd        *process
	server      *process // nil while it is stopped
	controllers *process // nil with NoControllers
}

// Start runs a cluster of the test's own until the test ends. It takes some
// 5 s and 700 MB: who does not stop the API server or need other flags
// takes [Shared].
func Start(t testing.TB, config Config) *Cluster {
	t.Helper()
	c, err := launch(find(t, names...), config)
	if err != nil {
		t.Fatalf("start Kubernetes: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.logs())
		}
		if err := c.close(); err != nil {
			t.Errorf("stop Kubernetes: %v", err)
		}
	})
	return c
}

// launch starts a cluster, anew where another process took a port first.
func launch(found programs, config Config) (*Cluster, error) {
	for attempt := 1; ; attempt++ {
		c, err := launchOnce(found, config)
		if err == nil {
			return c, nil
		}
		err = errors.Join(err, c.close())
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
	}
}

// launchOnce gives the cluster also when it fails, for what was started of it to be ended.
func launchOnce(found programs, config Config) (*Cluster, error) {
	c := &Cluster{programs: found}
	var err error
	if c.folder, err = os.MkdirTemp("", "kubetest"); err != nil {
		return c, err
	}
	token := rand.Text()
	if err := c.writeKeys(append(config.Tokens, Token{Token: token, User: "admin", Groups: []string{"system:masters"}})); err != nil {
		return c, err
	}
	if err := c.startEtcd(); err != nil {
		return c, err
	}
	port, err := freePort()
	if err != nil {
		return c, err
	}
	c.Config = &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", port), BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.CA}, QPS: -1,
	}
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return c, err
	}
	c.Kubeconfig = c.file("admin.kubeconfig")
	if err := writeKubeconfig(c.Kubeconfig, c.Config); err != nil {
		return c, err
	}
	c.serverFlags = append(c.apiServerFlags(port), config.APIServer...)
	if err := c.startServer(); err != nil {
		return c, err
	}
	if config.NoControllers {
		return c, nil
	}
	return c, c.startControllers()
}

func (c *Cluster) file(name string) string { return filepath.Join(c.folder, name) }

// writeKeys writes the files that the programs are given: keys, certificates, tokens.
func (c *Cluster) writeKeys(tokens []Token) error {
	var err error
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	c.CA = c.authority.pem
	certificate, key, err := c.authority.issue(pkix.Name{CommonName: "kube-apiserver"}, "localhost", "kubernetes.default.svc")
	if err != nil {
		return err
	}
	accounts, err := serviceAccountKey()
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, one := range tokens {
		fmt.Fprintf(&lines, "%s,%s,%s,%q\n", one.Token, one.User, one.User, strings.Join(one.Groups, ","))
	}
	for name, content := range map[string][]byte{
		"ca.pem": c.CA, "server.pem": certificate, "server.key": key, "accounts.key": accounts, "tokens.csv": []byte(lines.String()),
	} {
		if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// close ends all and leaves nothing behind.
func (c *Cluster) close() error {
	// Whoever is still connected must not hold up the end: nothing is read afterwards.
	for _, one := range []*process{c.controllers, c.server, c.etcd} {
		if one != nil {
			one.Kill()
		}
	}
	return os.RemoveAll(c.folder)
}

// healthy asks the API server whether it is ready.
func (c *Cluster) healthy() error {
	return c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
}
