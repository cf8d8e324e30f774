package identity

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Proof is what a certificate proves.
type Proof struct {
	mesh.Identity
	Workload string    // names all certificates that follow from one join; "" of a certificate that has no such name
	Joined   time.Time // when it did, in seconds
}

// A serial number is the workload's name, which begins with the seconds at which
// it joined, and random bits. So whoever knows what was revoked when can judge each
// certificate by itself, also one that a server renewed that did not know it yet.
const (
	joinedLength   = 4
	workloadLength = mesh.WorkloadNameLength / 2
	serialLength   = workloadLength + 8
)

// newWorkload names a workload that joins now.
func newWorkload(now time.Time) []byte {
	name := make([]byte, workloadLength)
	_, _ = rand.Read(name)                               // never fails: it ends the process instead
	binary.BigEndian.PutUint32(name, uint32(now.Unix())) //nolint:gosec // until 2106
	return name
}

func serialOf(workload []byte) *big.Int {
	serial := make([]byte, serialLength)
	_, _ = rand.Read(serial)
	copy(serial, workload)
	return new(big.Int).SetBytes(serial)
}

// joinOf reads what serialOf wrote.
func joinOf(certificate *x509.Certificate) (name []byte, joined time.Time) {
	serial := certificate.SerialNumber.Bytes()
	if len(serial) != serialLength {
		return nil, time.Time{}
	}
	return serial[:workloadLength], time.Unix(int64(binary.BigEndian.Uint32(serial)), 0)
}

// Revocations knows which certificates are a right to nothing any more. It is safe
// for concurrent use.
type Revocations struct {
	some    atomic.Bool // whether there are any
	mu      sync.Mutex
	all     map[string]time.Time  // guarded by mu: since when, by what they are of
	synced  bool                  // guarded by mu
	watched map[*watcher]struct{} // guarded by mu
}

type watcher struct {
	of  Proof
	end context.CancelCauseFunc
}

// Apply takes up what changed, and ends what is revoked now. synced: all that there
// is has been given.
func (r *Revocations) Apply(synced bool, changes []mesh.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced = r.synced || synced
	for _, change := range changes {
		one := change.Revocation
		switch {
		case one == nil:
			continue
		case change.Deleted:
			delete(r.all, one.Of)
			r.some.Store(len(r.all) > 0)
			continue
		case r.all == nil:
			r.all = map[string]time.Time{}
		}
		r.all[one.Of] = one.At
		r.some.Store(true)
		for w := range r.watched {
			if err := r.check(w.of); err != nil {
				delete(r.watched, w)
				w.end(err)
			}
		}
	}
}

// Check refuses what is revoked.
func (r *Revocations) Check(of Proof) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.check(of)
}

// check is Check with mu held.
func (r *Revocations) check(of Proof) error {
	if at, revoked := r.all[of.String()]; revoked && !of.Joined.After(at) {
		return mesh.Denied("the certificates of %s that joined until %s are revoked: join anew, with a token made by %q", of.Phrase(), at.UTC().Format(time.RFC3339), of.JoinCommand())
	}
	if _, revoked := r.all[mesh.RevocationOfWorkload(of.Workload)]; revoked && of.Workload != "" {
		return mesh.Denied("the certificates of this workload (%s) are revoked: join anew, with a token made by %q", of.Workload, of.JoinCommand())
	}
	return nil
}

// Of says until when an identity, such as "service/orders", had to join for its
// certificates to be revoked, if they are.
func (r *Revocations) Of(identity string) (until time.Time, revoked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, revoked = r.all[identity]
	return until, revoked
}

// Standing gives a check that what a certificate proves is not revoked. It is cheap
// enough for each request on a connection that was made with it.
func (r *Revocations) Standing(certificate *x509.Certificate, domain spiffeid.TrustDomain) func() error {
	of, err := identityOf(certificate, domain)
	if err != nil {
		return func() error { return err }
	}
	workload, joined := joinOf(certificate)
	proof := Proof{of, nameOf(workload), joined}
	return func() error {
		if !r.some.Load() {
			return nil
		}
		return r.Check(proof)
	}
}

// renewable refuses to renew what is revoked, or may be.
func (r *Revocations) renewable(of Proof) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.synced {
		return mesh.Unavailable(nil, "renew a certificate: the server does not know yet what is revoked; try again")
	}
	return r.check(of)
}

// joining is when somebody who joins at a time is said to have: after the last
// revocation, however the clocks of servers differ.
func (r *Revocations) joining(of mesh.Identity, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, revoked := r.all[of.String()]; revoked && !now.Truncate(time.Second).After(at) {
		return at.Add(time.Second)
	}
	return now
}

// Until gives a context that ends when the proof is revoked; its cause says so. It
// is let go of when ctx ends.
func (r *Revocations) Until(ctx context.Context, of Proof) (context.Context, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watcher{of, cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(of); err != nil {
		cancel(err)
		return nil, err
	}
	if r.watched == nil {
		r.watched = map[*watcher]struct{}{}
	}
	r.watched[w] = struct{}{}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watched, w)
	})
	return ctx, nil
}

func nameOf(workload []byte) string { return hex.EncodeToString(workload) }
