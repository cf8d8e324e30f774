package workload

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Issue asks the server for a certificate, over TLS as given. joinToken is "" when
// the certificate in meeting speaks for the workload.
type Issue func(ctx context.Context, meeting *tls.Config, csr, joinToken string) (identity.Issued, error)

// Config is what an identity needs; all but Attestor, Logger and Now.
type Config struct {
	Dir           string
	Identity      mesh.Identity // whose it is
	JoinTokenFile string        // "": the folder must hold an identity already
	Attestor      *Attestor     // gives the join tokens, in the place of a file; nil: the file
	Issue         Issue
	Logger        *slog.Logger     // nil: no log
	Now           func() time.Time // nil: time.Now
}

// Identity is the identity of one workload. It is safe for concurrent use.
type Identity struct {
	cfg   Config
	files Files

	mu   sync.Mutex
	held *held // guarded by mu; never nil once Open has returned
}

// The pauses between attempts.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
)

// Open finds the identity in its folder, or joins. A server that is away is
// waited for until ctx ends; a refusal is an error, but for that of an Attestor, who
// may not have heard of the workload yet: it is asked again.
func Open(ctx context.Context, cfg Config) (*Identity, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	files, err := In(cfg.Dir)
	if err != nil {
		return nil, err
	}
	i := &Identity{cfg: cfg, files: files}
	found, err := i.find()
	if err != nil || found {
		return i, err
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		err := i.join(ctx)
		kind := mesh.KindOf(err)
		if kind == mesh.KindUnavailable || kind == mesh.KindDenied && cfg.Attestor != nil {
			cfg.Logger.Warn("the workload cannot join yet; trying again", "identity", cfg.Identity.String(), "error", err)
			return struct{}{}, err
		}
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(pauses(longestPause)), backoff.WithMaxElapsedTime(0))
	return i, err
}

func pauses(longest time.Duration) *backoff.ExponentialBackOff {
	p := backoff.NewExponentialBackOff()
	p.InitialInterval, p.MaxInterval = min(firstPause, longest), longest
	return p
}

// find takes up the identity that is in the folder, if it is good.
func (i *Identity) find() (bool, error) {
	found, err := i.files.read()
	if err != nil {
		return false, i.invalid(err, "the identity in %s cannot be read: empty the folder and join anew", i.files.Dir)
	}
	if found == nil {
		if !i.canJoin() {
			return false, i.invalid(nil, "there is no identity in %s yet: %s", i.files.Dir, i.howToJoin())
		}
		return false, nil
	}
	id, err := x509svid.IDFromCert(found.certificate.Leaf)
	if err != nil || id.Path() != i.path() {
		return false, i.invalid(err, "%s holds the identity %s, which is not that of %s: use a folder for each identity", i.files.Dir, id, i.cfg.Identity.Phrase())
	}
	if ended := found.certificate.Leaf.NotAfter; !i.cfg.Now().Before(ended) {
		if !i.canJoin() {
			return false, i.expired(ended)
		}
		i.cfg.Logger.Warn("the certificate expired; joining anew", "identity", i.cfg.Identity.String(), "expired", ended)
		i.held = found
		return false, nil
	}
	i.held = found
	return true, i.files.prepare()
}

func (i *Identity) invalid(cause error, format string, args ...any) error {
	return &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf(format, args...), Err: cause}
}

func (i *Identity) expired(at time.Time) error {
	return mesh.Denied("the certificate in %s expired at %s: %s", i.files.Dir, at.UTC().Format(time.RFC3339), i.howToJoin())
}

func (i *Identity) howToJoin() string {
	return fmt.Sprintf("make a join token with %q, and name the file that holds it with --join-token-file", i.cfg.Identity.JoinCommand())
}

// canJoin: there is somebody, or something, to get a join token from.
func (i *Identity) canJoin() bool { return i.cfg.JoinTokenFile != "" || i.cfg.Attestor != nil }

// path is that of the SPIFFE ID.
func (i *Identity) path() string { return "/" + i.cfg.Identity.String() }

// join gets the first certificate.
func (i *Identity) join(ctx context.Context) error {
	token, err := i.token(ctx)
	if err != nil {
		return err
	}
	_, pin, err := identity.ParseJoinToken(token)
	if err != nil && i.cfg.Attestor != nil {
		return mesh.Unavailable(err, "read the join token that %s gave", i.cfg.Attestor.URL)
	}
	if err != nil {
		return i.invalid(err, "read the join token in %s", i.cfg.JoinTokenFile)
	}
	err = i.get(ctx, identity.PinnedTLS(pin), token)
	if mesh.KindOf(err) == mesh.KindDenied && i.held != nil {
		return fmt.Errorf("%w; and joining anew was refused: %w", i.expired(i.current().certificate.Leaf.NotAfter), err)
	}
	return err
}

// token is a join token: from the Attestor, or else the file.
func (i *Identity) token(ctx context.Context) (string, error) {
	if i.cfg.Attestor != nil {
		key, err := i.files.pendingKey(true) // the same that is certified with the token
		if err != nil {
			return "", i.invalid(err, "make a key in %s", i.files.Dir)
		}
		pin, err := identity.KeyPin(key.Public())
		if err != nil {
			return "", err
		}
		return i.cfg.Attestor.JoinToken(ctx, pin)
	}
	text, err := os.ReadFile(i.cfg.JoinTokenFile)
	if err != nil {
		return "", i.invalid(err, "read the join token: %s", i.howToJoin())
	}
	return strings.TrimSpace(string(text)), nil
}

// get has a new key certified and writes both. A key that is not answered for is
// forgotten, but for a join token: used up by an answer that was lost, it is good
// for the same key only.
func (i *Identity) get(ctx context.Context, meeting *tls.Config, joinToken string) error {
	key, err := i.files.pendingKey(joinToken != "")
	if err != nil {
		return i.invalid(err, "make a key in %s", i.files.Dir)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	issued, err := i.cfg.Issue(ctx, meeting, string(csr), joinToken)
	if errors.As(err, new(*identity.UntrustedError)) {
		return &mesh.Error{Kind: mesh.KindDenied, Message: "the server is not trusted", Err: err}
	}
	if err != nil {
		return err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return err
	}
	got, err := parse([]byte(issued.Chain), encoded, []byte(issued.Bundle))
	if err != nil {
		return fmt.Errorf("the certificate that the server gave: %w", err)
	}
	id, err := x509svid.IDFromCert(got.certificate.Leaf)
	if err != nil || id.Path() != i.path() {
		return i.invalid(err, "the server gave the identity %s, and this is %s: is the join token another's?", id, i.cfg.Identity.Phrase())
	}
	if err := i.files.write([]byte(issued.Chain), encoded, []byte(issued.Bundle)); err != nil {
		return mesh.Unavailable(err, "write the identity to %s", i.files.Dir)
	}
	i.mu.Lock()
	i.held = got
	i.mu.Unlock()
	i.cfg.Logger.Info("the workload has a new certificate", "id", id.String(), "expires", got.certificate.Leaf.NotAfter)
	return i.files.forgetPending()
}

// pendingKey makes a key. keep has it outlive this process until it is certified.
func (f Files) pendingKey(keep bool) (*ecdsa.PrivateKey, error) {
	path := f.Dir + string(os.PathSeparator) + pendingName
	if data, err := os.ReadFile(path); err == nil && keep {
		if key, err := identity.ParseKey(data); err == nil {
			if ours, ok := key.(*ecdsa.PrivateKey); ok {
				return ours, nil
			}
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil || !keep {
		return key, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, errors.Join(os.MkdirAll(f.Dir, 0o700), writeSynced(path, encoded))
}

const pendingName = "joining-key.pem"

func (f Files) forgetPending() error {
	err := os.Remove(f.Dir + string(os.PathSeparator) + pendingName)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// TLS is how the workload meets the server: with its present certificate.
func (i *Identity) TLS() *tls.Config {
	return identity.ClientTLS(
		func() *tls.Certificate { return i.current().certificate },
		func() []*x509.Certificate { return i.current().roots },
	)
}

// AuthorizerTLS is how the workload meets AuthZ services.
func (i *Identity) AuthorizerTLS() *tls.Config {
	return identity.AuthorizerTLS(
		func() *tls.Certificate { return i.current().certificate },
		func() []*x509.Certificate { return i.current().roots },
	)
}

// ServerTLS is how those who ask the workload are met at this moment: with its
// present certificate. ClientCAs are the roots that it trusts; whether clients have
// to show a certificate is the caller's to say.
func (i *Identity) ServerTLS() *tls.Config {
	held := i.current()
	cas := x509.NewCertPool()
	for _, root := range held.roots {
		cas.AddCert(root)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*held.certificate}, ClientCAs: cas}
}

// Files is where the identity is kept.
func (i *Identity) Files() Files { return i.files }

// ServerID is the SPIFFE ID of the control plane that gave the identity.
func (i *Identity) ServerID() (string, error) {
	id, err := x509svid.IDFromCert(i.current().certificate.Leaf)
	if err != nil {
		return "", err
	}
	return identity.ServerID(id.TrustDomain()).String(), nil
}

// TrustDomain is that of the identity; "" if its certificate has none.
func (i *Identity) TrustDomain() string {
	id, err := x509svid.IDFromCert(i.current().certificate.Leaf)
	if err != nil {
		return ""
	}
	return id.TrustDomain().Name()
}

func (i *Identity) current() *held {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.held
}
