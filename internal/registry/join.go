package registry

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of a join token.
const (
	DefaultJoinTTL = 10 * time.Minute
	LongestJoinTTL = 7 * 24 * time.Hour
	MostJoinUses   = 1000
)

// joinKept is how long an expired join token is kept that was not used up, so that
// whoever still has it is told when it expired. One that is used up goes when it
// expires, and so does one that a keeper's token made, as for each pod: whose it was
// is in the audit.
const joinKept = 24 * time.Hour

// joinRecord is what is stored of a join token.
type joinRecord struct {
	tokenRecord
	Keys  []string `json:"keys,omitempty"`  // which workloads' keys joined with it
	Brief bool     `json:"brief,omitempty"` // it is kept no longer than it may be used
}

// CreateJoinToken makes the right of token.Uses workloads to get the identity
// token.Identity() within ttl, and gives its secret, which is stored nowhere. 0
// stands for one use and [DefaultJoinTTL]. w.Revision is that of the service which
// the caller judged the workload by: once it is another, no token is made, and the
// answer is a conflict with [mesh.ReasonStale]. 0: the caller judged nothing.
func (s *Store) CreateJoinToken(ctx context.Context, token Token, ttl time.Duration, w Write) (Token, string, error) {
	token.Author = cmp.Or(token.Author, w.Author)
	if ttl == 0 {
		ttl = DefaultJoinTTL
	}
	if token.Uses == 0 {
		token.Uses = 1
	}
	var faults mesh.Faults
	switch of := joinsAs(token); {
	case of == 0:
		faults.Add("service", "is missing: a join token is for one service; or say gateway or authz instead")
	case of > 1:
		faults.Add("service", "is one of service, gateway and authz: a join token is for one identity")
	}
	if ttl < time.Second || ttl > LongestJoinTTL {
		faults.Add("ttl", "%s is not from 1s to %s", ttl, LongestJoinTTL)
	}
	if w.Revision < 0 || w.Revision != 0 && token.Service == "" {
		faults.Add("serviceRevision", "%d is not the revision of a service that the token is for", w.Revision)
	}
	if token.Uses < 0 || token.Uses > MostJoinUses {
		faults.Add("uses", "%d is not from 1 to %d", token.Uses, MostJoinUses)
	}
	if err := mesh.Invalid("create a join token", faults); err != nil {
		return Token{}, "", err
	}
	token.Kind = JoinToken
	if err := tokenFaults(token); err != nil {
		return Token{}, "", err
	}
	token, secret := withSecret(token, "hdj")
	token.ExpiresAt = token.CreatedAt.Add(ttl)
	guards, err := s.ofService(ctx, w.By, &token)
	if err != nil {
		return Token{}, "", err
	}
	brief, lives := w.By.Kind == KeeperToken, ttl+joinKept
	if brief {
		lives = ttl
	}
	record, err := json.Marshal(joinRecord{tokenRecord: tokenRecord{Token: token, Hash: hashOf(secret)}, Brief: brief})
	if err != nil {
		return Token{}, "", &mesh.Error{Kind: mesh.KindInvalid, Message: "create a join token", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	lease, err := s.client.Grant(ctx, seconds(lives))
	if err != nil {
		return Token{}, "", refusal(err, "create a join token")
	}
	t := s.newTxn("create a join token", Write{Keeper: w.Keeper, KeeperSource: w.KeeperSource})
	if w.Revision != 0 {
		t.require(unmoved(token.Service, w.Revision))
	}
	t.guard(guards...)
	t.do(clientv3.OpPut(token.key(), string(record), clientv3.WithLease(lease.ID)))
	t.audit = auditOfToken(w, "create", token)
	if _, _, err := t.commit(ctx, "", nil); err != nil {
		s.revoke(ctx, []clientv3.LeaseID{lease.ID})
		return Token{}, "", err
	}
	return token, secret, nil
}

// Join uses up one of a join token's uses for the workload that holds the key,
// and says for whom. The same key may come again while the token lives,
// for the answer can be lost on its way. Denied: not this token, or not any more.
func (s *Store) Join(ctx context.Context, secret, key string, w Write) (Token, error) {
	parts := strings.Split(secret, "_")
	if len(secret) > 256 || len(parts) != 3 || parts[0] != "hdj" || parts[1] == "" {
		return Token{}, mesh.Denied("this is not a join token: heddle token create makes one, see its --join flags")
	}
	id := parts[1]
	for {
		kv, err := s.read(ctx, joinPrefix+id, "check the join token")
		if err != nil {
			return Token{}, err
		}
		var record joinRecord
		if kv != nil {
			if err := json.Unmarshal(kv.Value, &record); err != nil {
				return Token{}, mesh.Unavailable(err, "check the join token: its record in etcd is corrupt")
			}
		}
		token := record.Token
		switch {
		case kv == nil || subtle.ConstantTimeCompare([]byte(record.Hash), []byte(hashOf(secret))) != 1:
			return Token{}, mesh.Denied("the join token is not known here; it may have been revoked, or be used up and have expired since")
		case !timeNow().Before(token.ExpiresAt):
			return Token{}, mesh.Denied("the join token for %s expired at %s: make another with %q", token.Identity().Phrase(), token.ExpiresAt.Format(time.RFC3339), token.Identity().JoinCommand())
		}
		if err := token.Bound.admits(key, w.From); err != nil {
			return Token{}, err
		}
		switch {
		case slices.Contains(record.Keys, key):
			return token, nil
		case len(record.Keys) >= token.Uses:
			return Token{}, mesh.Denied("the join token for %s is used up (%d of %d): make another with %q", token.Identity().Phrase(), len(record.Keys), token.Uses, token.Identity().JoinCommand())
		}
		if err := s.stillTheirs(ctx, token); err != nil {
			return Token{}, err
		}
		record.Keys = append(record.Keys, key)
		w.Author = "join-token:" + id
		stored, err := s.use(ctx, kv, record, auditOfToken(w, "join", token))
		if err != nil {
			return Token{}, err
		}
		if stored {
			return token, nil
		}
		// Another workload joined, or the token was revoked, in between.
	}
}

// unmoved is the condition that a service is at the revision by which somebody judged.
func unmoved(service mesh.ServiceName, revision int64) (clientv3.Cmp, clientv3.Op, func([]*mvccpb.KeyValue) error) {
	key := servicePrefix + string(service)
	return clientv3.Compare(clientv3.ModRevision(key), "=", revision), clientv3.OpGet(key, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
		return refuseStale("service "+quoted(string(service)), revision, found)
	}
}

// joinsAs counts what a join token is for.
func joinsAs(token Token) int {
	n := 0
	for _, is := range []bool{token.Service != "", token.Gateway != "", token.Authz} {
		if is {
			n++
		}
	}
	return n
}

// Identity is what a join token is for; nobody if it is none.
func (t Token) Identity() mesh.Identity {
	switch {
	case t.Kind != JoinToken:
	case t.Service != "":
		return mesh.Identity{Kind: mesh.ServiceIdentity, Name: t.Service}
	case t.Gateway != "":
		return mesh.Identity{Kind: mesh.GatewayIdentity, Name: t.Gateway}
	case t.Authz:
		return mesh.Identity{Kind: mesh.AuthzIdentity}
	}
	return mesh.Identity{}
}

// stillTheirs refuses a join token of the time when its service had another owner.
func (s *Store) stillTheirs(ctx context.Context, token Token) error {
	if len(token.Owners) == 0 {
		return nil
	}
	service, err := s.Service(ctx, token.Service)
	switch {
	case mesh.KindOf(err) == mesh.KindNotFound || mesh.ReasonOf(err) == mesh.ReasonCorrupt:
		return nil // nobody else's
	case err == nil && !token.Owns(service.Owner):
		return mesh.Denied("the join token is of the time when service %q belonged to %q; it belongs to %q now: have another made", token.Service, token.Owners[0], service.Owner)
	}
	return err
}

// use replaces the record of a join token that is as it was read. It keeps its lease,
// unless it is used up: then it lives as long as the same key may come again.
func (s *Store) use(ctx context.Context, was *mvccpb.KeyValue, record joinRecord, entry *mesh.AuditEntry) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	audit, err := auditOp(entry)
	if err != nil {
		return false, err
	}
	lease := clientv3.LeaseID(was.Lease)
	if len(record.Keys) >= record.Uses && !record.Brief {
		granted, err := s.client.Grant(ctx, seconds(record.ExpiresAt.Sub(timeNow())))
		if err != nil {
			return false, refusal(err, "use the join token")
		}
		lease, record.Brief = granted.ID, true
	}
	data, err := json.Marshal(record)
	if err != nil {
		return false, &mesh.Error{Kind: mesh.KindInvalid, Message: "use the join token", Err: err}
	}
	answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(string(was.Key)), "=", was.ModRevision)).
		Then(clientv3.OpPut(string(was.Key), string(data), clientv3.WithLease(lease)), audit).Commit()
	if replaced := clientv3.LeaseID(was.Lease); err == nil && lease != replaced {
		needless := replaced
		if !answer.Succeeded {
			needless = lease
		}
		s.revoke(ctx, []clientv3.LeaseID{needless})
	}
	if err != nil {
		return false, refusal(err, "use the join token") // a lease that was granted ends by itself
	}
	if answer.Succeeded {
		s.audited(ctx, entry, answer.Header.Revision)
	}
	return answer.Succeeded, nil
}
