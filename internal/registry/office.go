package registry

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// officeTTL is after how long without a word another server takes over.
const officeTTL = 10 * time.Second

// Term is a server's time in an office: what is written in it is refused once another
// server has taken over.
type Term struct {
	key      string
	revision int64 // that made the key
	lease    clientv3.LeaseID
}

// Lead waits until this server holds an office, which one server of the mesh has at a
// time, and calls lead with a context that ends when it is lost. It goes on until ctx
// ends: an etcd that is away loses the office, and it is sought again. Who gives it up soon
// after it was given is given it ever less often, for it cannot do what it is to do.
func (s *Store) Lead(ctx context.Context, office, server string, lead func(context.Context, Term)) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	for ctx.Err() == nil {
		err := s.leadOnce(ctx, office, server, lead, func(term time.Duration) {
			if term >= officeTTL {
				wait.Reset()
			}
		})
		if ctx.Err() != nil {
			return
		}
		pause := wait.NextBackOff()
		s.logger.Warn("an office of the servers was lost, or could not be sought", "office", office, "error", err, "retry_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (s *Store) leadOnce(ctx context.Context, office, server string, lead func(context.Context, Term), ended func(time.Duration)) error {
	tried := "seek the office of " + office
	granting, cancel := context.WithTimeout(ctx, s.timeout)
	lease, err := s.client.Grant(granting, seconds(officeTTL))
	cancel()
	if err != nil {
		return refusal(err, tried)
	}
	session, err := concurrency.NewSession(s.client, concurrency.WithContext(ctx), concurrency.WithLease(lease.ID))
	if err != nil {
		return refusal(err, tried)
	}
	defer s.revoke(ctx, []clientv3.LeaseID{lease.ID}) // the next one need not wait for its end
	defer session.Orphan()
	ctx, cancel = context.WithCancel(ctx)
	var lost sync.WaitGroup
	defer lost.Wait()
	defer cancel()
	lost.Go(func() {
		select {
		case <-session.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	election := concurrency.NewElection(session, officePrefix+office)
	if err := election.Campaign(ctx, server); err != nil {
		return refusal(err, tried)
	}
	began := time.Now()
	s.logger.Info("this server holds an office now", "office", office)
	lead(ctx, Term{key: election.Key(), revision: election.Rev(), lease: lease.ID})
	ended(time.Since(began))
	return mesh.Unavailable(ctx.Err(), "%s: it was lost", tried)
}

// inTerm has a transaction done only in a term; the zero one is no condition.
func (t *txn) inTerm(term Term) {
	if term == (Term{}) {
		return
	}
	held := at(term.key, term.revision)
	t.require(held.condition, held.look, func(found []*mvccpb.KeyValue) error {
		if held.changed(found) {
			return mesh.Conflict("%s: the term of this server is over, and another may write now", t.tried)
		}
		return nil
	})
}
