package workload

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer is a server whose answers a test chooses.
type issuer struct {
	authority *identity.Authority

	mu     sync.Mutex
	keys   []string // of the requests
	tokens []string
	refuse func() error // nil: nothing is refused
}

func newIssuer(t *testing.T, lifetime time.Duration) *issuer {
	t.Helper()
	cfg, files := identity.Config{Lifetime: lifetime}, identity.In(t.TempDir())
	if err := identity.Create(cfg, files); err != nil {
		t.Fatal(err)
	}
	authority, err := identity.Load(cfg, files)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{authority: authority}
}

func (i *issuer) issue(_ context.Context, _ *tls.Config, csr, token string) (identity.Issued, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key, err := identity.RequestKey(csr)
	if err != nil {
		return identity.Issued{}, err
	}
	i.keys, i.tokens = append(i.keys, key), append(i.tokens, token)
	if i.refuse != nil {
		if err := i.refuse(); err != nil {
			return identity.Issued{}, err
		}
	}
	return i.authority.Issue(csr, mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"})
}

func (i *issuer) asked() (keys, tokens []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.keys...), append([]string{}, i.tokens...)
}

// config is that of a workload with a join token.
func (i *issuer) config(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "join")
	if err := os.WriteFile(file, []byte(identity.FormatJoinToken("hdj_a_b", i.authority.Pin())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{Dir: filepath.Join(dir, "identity"), Identity: mesh.Identity{Kind: mesh.ServiceIdentity, Name: "web"}, JoinTokenFile: file, Issue: i.issue}
}

func TestTheFilesAreForTheOwnerOnly(t *testing.T) {
	i := newIssuer(t, 0)
	own, err := Open(t.Context(), i.config(t))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := own.renew(t.Context()); err != nil {
			t.Fatal(n, err)
		}
	}
	generations := 0
	err = filepath.WalkDir(own.Files().Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() && path != own.Files().Dir {
			generations++
		}
		if info.Mode()&os.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || generations != 2 {
		t.Errorf("%d generations, %v", generations, err)
	}
	held, err := own.files.read()
	if err != nil || string(held.certificate.Certificate[0]) != string(own.current().certificate.Certificate[0]) {
		t.Errorf("the files are not what is held: %v", err)
	}
	keys, tokens := i.asked()
	if len(keys) != 4 || keys[0] == keys[1] || keys[1] == keys[2] || tokens[0] == "" || tokens[1] != "" {
		t.Errorf("asked with keys %v and tokens %v", keys, tokens)
	}
	// A restart takes it up and needs neither the server nor the token.
	cfg := own.cfg
	cfg.JoinTokenFile, cfg.Issue = "", nil
	if _, err := Open(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	cfg.Identity.Name = "orders"
	if _, err := Open(t.Context(), cfg); mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), "use a folder for each identity") {
		t.Errorf("another service's folder: %v", err)
	}
}

// A reader never sees a key that is not its certificate's.
func TestKeyAndCertificateChangeTogether(t *testing.T) {
	i := newIssuer(t, 0)
	own, err := Open(t.Context(), i.config(t))
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	var ended atomic.Bool
	reading.Go(func() {
		for !ended.Load() {
			folder, err := filepath.EvalSymlinks(filepath.Join(own.Files().Dir, currentLink))
			if err != nil {
				t.Errorf("the link: %v", err)
				return
			}
			if _, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a pair that does not fit: %v", err)
				return
			}
		}
	})
	for range 50 {
		if err := own.renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ended.Store(true)
	reading.Wait()
}

// The answer to a join can be lost: the same key comes again, even from a new process.
func TestAnAnswerThatWasLost(t *testing.T) {
	i := newIssuer(t, 0)
	lost := true
	i.refuse = func() error {
		if lost {
			lost = false
			return mesh.Unavailable(nil, "the answer broke off")
		}
		return mesh.Denied("used up")
	}
	cfg := i.config(t)
	if _, err := Open(t.Context(), cfg); mesh.KindOf(err) != mesh.KindDenied {
		t.Fatal(err)
	}
	i.refuse = nil
	own, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := i.asked()
	if len(keys) != 3 || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Errorf("asked with %v", keys)
	}
	if _, err := os.Stat(filepath.Join(own.Files().Dir, pendingName)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the key that joined is still there")
	}
}

func TestRenewalGoesOnThroughAnOutage(t *testing.T) {
	i := newIssuer(t, 2*time.Second)
	cfg := i.config(t)
	own, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := own.current()
	i.mu.Lock()
	fails := 3
	i.refuse = func() error {
		if fails--; fails >= 0 {
			return mesh.Unavailable(nil, "away")
		}
		return nil
	}
	i.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { own.Run(ctx) })
	deadline := time.Now().Add(10 * time.Second)
	for own.current() == first && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	running.Wait()
	keys, tokens := i.asked()
	if own.current() == first || len(keys) < 5 {
		t.Errorf("asked %d times, with tokens %v", len(keys), tokens)
	}
}

// Long switched off, a machine comes back with the join token that its operator left.
func TestAnExpiredCertificateIsReplacedByJoining(t *testing.T) {
	i := newIssuer(t, time.Hour)
	cfg := i.config(t)
	if _, err := Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	without := cfg
	without.JoinTokenFile = ""
	if _, err := Open(t.Context(), without); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "heddle token create --join web") {
		t.Errorf("without a join token: %v", err)
	}
	if _, err := Open(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	i.refuse = func() error { return mesh.Denied("used up") }
	_, err := Open(t.Context(), cfg)
	if err != nil {
		for _, want := range []string{"expired at", "heddle token create --join web", "used up"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
	} else {
		t.Error("a refused join was passed over")
	}
}
