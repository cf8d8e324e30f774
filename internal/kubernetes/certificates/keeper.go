package certificates

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Config has settings whose zero values work, but for the first four.
type Config struct {
	Client    kubernetes.Interface
	Namespace string   // where the Secret is: the operator's own
	Hosts     []string // the names that are served: the operator's Service
	Logger    *slog.Logger

	Secret        string // default heddle-operator-tls
	Configuration string // the MutatingWebhookConfiguration that is kept; default heddle
	Lives         Lives
	Every         time.Duration    // between looks, beside those that changes cause; default 30 s
	Now           func() time.Time // default time.Now
}

// The names of the objects in the manifests.
const (
	DefaultSecret        = "heddle-operator-tls"
	DefaultConfiguration = "heddle"
)

// Keeper serves the newest certificate and keeps all that it takes.
type Keeper struct {
	cfg    Config
	served atomic.Pointer[served]
}

// served is what the last look found.
type served struct {
	certificate *tls.Certificate
	roots       string
}

// New makes a Keeper that has nothing to serve until it runs.
func New(cfg Config) *Keeper {
	cfg.Secret = cmp.Or(cfg.Secret, DefaultSecret)
	cfg.Configuration = cmp.Or(cfg.Configuration, DefaultConfiguration)
	cfg.Lives = cfg.Lives.withDefaults()
	cfg.Every = cmp.Or(cfg.Every, 30*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{cfg: cfg}
}

// TLS is for the server: each connection gets the newest certificate.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // the API server's client
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if now := k.served.Load(); now != nil {
				return now.certificate, nil
			}
			return nil, errors.New("the webhook's certificate is not there yet: the Secret could not be read or written so far")
		},
	}
}

// Roots are the certificates to verify the server by, as PEM; "" before there are any.
func (k *Keeper) Roots() string {
	if now := k.served.Load(); now != nil {
		return now.roots
	}
	return ""
}

// Ready says whether there is something to serve.
func (k *Keeper) Ready() bool { return k.served.Load() != nil }

// Run keeps the certificate until ctx ends. What fails is tried again, and said
// in the log when it begins and when it is over.
func (k *Keeper) Run(ctx context.Context) error {
	wake, stop := k.watch(ctx)
	defer stop()
	failing := false
	for {
		wait := k.cfg.Every
		if err := k.look(ctx); err != nil && ctx.Err() == nil {
			wait = min(wait, 2*time.Second)
			if !failing {
				k.cfg.Logger.Error("the webhook's certificate cannot be kept; it is tried again", "error", err)
			}
			failing = true
		} else if failing && err == nil {
			failing = false
			k.cfg.Logger.Info("the webhook's certificate is kept again")
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// errOvertaken says that another replica was faster: what it made is to be taken.
var errOvertaken = errors.New("others keep writing the Secret")

// look is one look, and some more while other replicas are faster.
func (k *Keeper) look(ctx context.Context) (err error) {
	for range 5 {
		if err = k.lookOnce(ctx); !errors.Is(err, errOvertaken) {
			break
		}
	}
	return err
}

// lookOnce reads the Secret, moves it on if it is time, and sees to it that the roots
// are where they have to be before what they verify is served.
func (k *Keeper) lookOnce(ctx context.Context) error {
	secrets := k.cfg.Client.CoreV1().Secrets(k.cfg.Namespace)
	secret, err := secrets.Get(ctx, k.cfg.Secret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: k.cfg.Secret, Namespace: k.cfg.Namespace}, Type: corev1.SecretTypeOpaque}
	} else if err != nil {
		return fmt.Errorf("read Secret %s/%s: %w", k.cfg.Namespace, k.cfg.Secret, err)
	}
	held := stateFrom(secret.Data)
	next, why, err := held.advance(k.cfg.Now(), k.cfg.Lives, k.cfg.Hosts)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	if why != "" {
		secret.Data = next.data()
		if missing {
			_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		} else {
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{}) // refused if somebody wrote since
		}
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("write Secret %s/%s: %w: %w", k.cfg.Namespace, k.cfg.Secret, errOvertaken, err)
		}
		if err != nil {
			return fmt.Errorf("write Secret %s/%s: %w", k.cfg.Namespace, k.cfg.Secret, err)
		}
		k.cfg.Logger.Info("the webhook's certificate has changed", "why", why)
	}
	published, err := k.publish(ctx, next.bundle())
	if err != nil {
		return err
	}
	if err := k.serve(next); err != nil {
		return err
	}
	if published && !next.next.empty() && next.published.IsZero() {
		return k.markPublished(ctx, next)
	}
	return nil
}

// markPublished notes since when the next authority is trusted. Who loses the
// race finds the mark of another replica at its next look.
func (k *Keeper) markPublished(ctx context.Context, s state) error {
	secrets := k.cfg.Client.CoreV1().Secrets(k.cfg.Namespace)
	secret, err := secrets.Get(ctx, k.cfg.Secret, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Secret %s/%s: %w", k.cfg.Namespace, k.cfg.Secret, err)
	}
	held := stateFrom(secret.Data)
	if !bytes.Equal(held.next.certificate, s.next.certificate) || !held.published.IsZero() {
		return nil
	}
	held.published = k.cfg.Now()
	secret.Data = held.data()
	if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("write Secret %s/%s: %w", k.cfg.Namespace, k.cfg.Secret, err)
	}
	return nil
}

// serve takes up the certificate for new connections.
func (k *Keeper) serve(s state) error {
	leaf, err := s.leaf.parse()
	if err != nil {
		return fmt.Errorf("serve what Secret %s/%s holds: %w", k.cfg.Namespace, k.cfg.Secret, err)
	}
	k.served.Store(&served{certificate: &leaf.certificate, roots: string(s.bundle())})
	return nil
}
