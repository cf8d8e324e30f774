package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Token is a right, without its secret: to write, or to join.
type Token struct {
	ID          string           `json:"id"`
	Kind        TokenKind        `json:"kind,omitempty"` // "": to write
	Description string           `json:"description,omitempty"`
	Service     mesh.ServiceName `json:"service,omitempty"` // "": everything, or what the owners have
	Owners      []string         `json:"owners,omitempty"`  // without a service: whose things may be written; with one: its owner when the token was made
	CreatedAt   time.Time        `json:"createdAt"`
	Author      string           `json:"author,omitempty"`
	Keeper      mesh.Keeper      `json:"keeper,omitempty"`  // of a keeper's token: it writes as this one, and as those below it
	Vouches     []string         `json:"vouches,omitempty"` // of a keeper's token: the identities besides its services that it makes join tokens of, such as gateway/edge

	VouchGateways bool `json:"vouchGateways,omitempty"` // of a keeper's token: so it does for the gateways that Gateways of its clusters are

	// Of join tokens alone.
	Gateway   mesh.ServiceName `json:"gateway,omitempty"` // it is for gateways of this name instead of a service
	Authz     bool             `json:"authz,omitempty"`   // it is for AuthZ services instead
	ExpiresAt time.Time        `json:"expiresAt,omitzero"`
	Uses      int              `json:"uses,omitempty"` // how many workloads may join with it
	Used      int              `json:"used,omitempty"` // how many have
	Bound     *Bound           `json:"bound,omitempty"`
}

// Bound is the one workload that a join token is for. What is left out does not matter.
type Bound struct {
	Instance  mesh.InstanceID `json:"instance,omitempty" doc:"Which of the service's; it is in the audit." example:"orders-7d4f.shop.prod"`
	Addresses []string        `json:"addresses,omitempty" nullable:"false" doc:"The workload joins from one of these IP addresses."`
	Key       string          `json:"key,omitempty" doc:"The workload's public key: SHA-256 of its SubjectPublicKeyInfo, hexadecimal."`
	GatewayOf mesh.GatewayOf  `json:"gatewayOf,omitempty" doc:"Of a gateway: the Gateway of a Kubernetes cluster that it is, CLUSTER/NAMESPACE/NAME. A token of the cluster's keeper with vouchGateways makes a join token of it without vouching for it by name." example:"prod/shop/web"`
}

// vouchesForGateway says whether a keeper's token vouches for a join token's gateway, as that
// of a Gateway of its clusters.
func (t Token) vouchesForGateway(join Token) bool {
	if !t.VouchGateways || join.Gateway == "" || join.Bound == nil {
		return false
	}
	cluster, namespace, name, ok := join.Bound.GatewayOf.Parts()
	return ok && t.Keeper.Covers(mesh.OfCluster(cluster)) && join.Gateway == mesh.GatewayAPIGateway(cluster, namespace, name)
}

// TokenKind says what a token is a right to.
type TokenKind string

// The kinds besides "", which is the right to write.
const (
	// JoinToken is the right to get one identity, and nothing else. The name of a
	// gateway is not kept where a service's is: a server that knows of services
	// alone must not take it for one.
	JoinToken TokenKind = "join"
	// ReaderToken is the right to write nothing: of people who have signed in and
	// own nothing. None is stored.
	ReaderToken TokenKind = "reader"
	// InstancesToken is the right to write one service's instances, and nothing else.
	InstancesToken TokenKind = "instances"
	// KeeperToken is the right of a keeper: to write what it keeps, and nothing else.
	KeeperToken TokenKind = "keeper"
)

// scoped says whether a token is one of those that a server of before would take
// for more than they are: they are kept apart, and their secrets begin otherwise.
func (t Token) scoped() bool {
	return t.Kind == InstancesToken || t.Kind == KeeperToken || t.Service == "" && len(t.Owners) > 0
}

func (t Token) key() string {
	switch {
	case t.Kind == JoinToken:
		return joinPrefix + t.ID
	case t.scoped():
		return scopedPrefix + t.ID
	}
	return tokenPrefix + t.ID
}

// tokenRecord is what is stored: not the secret, but its hash. The secret has
// 256 random bits, so a plain hash of it cannot be turned back.
type tokenRecord struct {
	Token
	Hash string `json:"hash"` // SHA-256, hexadecimal
}

// tokenCacheTime is how long a token is taken as it was last read; so it is how
// long a revoked one may still be accepted.
const tokenCacheTime = time.Second

// mostOwners bounds the owners of one token.
const mostOwners = 100

// tokenCache holds the tokens that were used; it is bounded by their number.
type tokenCache struct {
	mu    sync.Mutex
	byKey map[string]cachedToken // guarded by mu
}

type cachedToken struct {
	record tokenRecord
	readAt time.Time
}

// CreateToken makes a token and gives its secret, which is stored nowhere.
func (s *Store) CreateToken(ctx context.Context, token Token, w Write) (Token, string, error) {
	token.Author = cmp.Or(token.Author, w.Author)
	guards, err := s.ofService(ctx, w.By, &token)
	if err != nil {
		return Token{}, "", err
	}
	token, secret, record, err := newToken(token)
	if err != nil {
		return Token{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	t := s.newTxn("create a token", Write{})
	t.guard(guards...)
	t.do(clientv3.OpPut(token.key(), record))
	t.audit = auditOfToken(w, "create", token)
	if _, _, err := t.commit(ctx, "", nil); err != nil {
		return Token{}, "", err
	}
	return token, secret, nil
}

// ofService judges the making of a token, and notes the owner of its service.
func (s *Store) ofService(ctx context.Context, by Token, token *Token) ([]guard, error) {
	guards, err := s.tokenRight(ctx, by, *token)
	if err != nil || token.Service == "" || len(token.Service) > maxKeyName {
		return guards, err
	}
	token.Owners = nil
	service, err := s.Service(ctx, token.Service)
	switch {
	case err == nil:
		token.Owners = []string{service.Owner}
		guards = append(guards, at(servicePrefix+string(token.Service), service.Meta.Revision))
	case mesh.KindOf(err) != mesh.KindNotFound && mesh.ReasonOf(err) != mesh.ReasonCorrupt:
		return nil, err
	}
	return guards, nil
}

// auditOfToken is the entry of what became of a token.
func auditOfToken(w Write, action string, token Token) *mesh.AuditEntry {
	object := "token/"
	if token.Kind == JoinToken {
		object = "join-token/"
	}
	entry := w.entry(action, object+token.ID)
	entry.Service, entry.Owners = token.Service, token.Owners
	if token.Bound != nil && token.Bound.Instance != "" {
		entry.Changes = append(entry.Changes, mesh.AuditChange{Field: "instance", After: string(token.Bound.Instance)})
	}
	return &entry
}

// tokenFaults reports what is wrong with what a caller says of a token.
func tokenFaults(token Token) error {
	var faults mesh.Faults
	for _, one := range []struct {
		path string
		name mesh.ServiceName
	}{{"service", token.Service}, {"gateway", token.Gateway}} {
		if one.name == "" {
			continue
		}
		for _, fault := range (&mesh.Instance{ID: "x", Service: one.name, Address: "127.0.0.1", Port: 1}).Validate() {
			faults.Add(one.path, "%s", fault.Message)
		}
	}
	if token.Kind == InstancesToken && token.Service == "" {
		faults.Add("service", "is missing: the token is for the instances of one service")
	}
	switch {
	case token.Kind != KeeperToken && token.Keeper != "":
		faults.Add("keeper", "is of tokens of kind keeper")
	case token.Kind == KeeperToken && (token.Service != "" || len(token.Owners) > 0):
		faults.Add("keeper", "contradicts service and owners: a keeper's token is for what the keeper has")
	case token.Kind == KeeperToken:
		if fault := token.Keeper.Fault(); fault != "" {
			faults.Add("keeper", "%s", fault)
		}
	}
	token.bindingFaults(&faults)
	if len(token.Owners) > mostOwners {
		faults.Add("owners", "has %d entries; at most %d are allowed", len(token.Owners), mostOwners)
	}
	for i, owner := range token.Owners {
		if owner == "" || len(owner) > 253 || strings.ContainsFunc(owner, unicode.IsControl) {
			faults.Add("owners["+strconv.Itoa(i)+"]", "is no owner: 1 to 253 bytes without control characters")
		}
	}
	if len(token.Description) > 1024 {
		faults.Add("description", "has %d bytes; at most 1024 are allowed", len(token.Description))
	}
	return mesh.Invalid("create a token", faults)
}

func newToken(token Token) (Token, string, string, error) {
	if err := tokenFaults(token); err != nil {
		return Token{}, "", "", err
	}
	kind := "hdl"
	if token.scoped() {
		kind = "hds"
	}
	token, secret := withSecret(token, kind)
	record, err := json.Marshal(tokenRecord{Token: token, Hash: hashOf(secret)})
	if err != nil {
		return Token{}, "", "", &mesh.Error{Kind: mesh.KindInvalid, Message: "create a token", Err: err}
	}
	return token, secret, string(record), nil
}

// withSecret gives a token its ID and makes its secret.
func withSecret(token Token, kind string) (Token, string) {
	id, random := make([]byte, 6), make([]byte, 32)
	_, _ = rand.Read(id) // never fails: it ends the process instead
	_, _ = rand.Read(random)
	token.ID, token.CreatedAt = hex.EncodeToString(id), timeNow().UTC()
	return token, kind + "_" + token.ID + "_" + hex.EncodeToString(random)
}

// Tokens lists the tokens, those to write before those to join, each by id.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	list := []Token{}
	for _, prefix := range []string{tokenPrefix, scopedPrefix, joinPrefix} {
		_, err := s.pages(ctx, prefix, 0, func(kv *mvccpb.KeyValue) {
			var record joinRecord // has the fields of both kinds
			if err := json.Unmarshal(kv.Value, &record); err == nil {
				record.Used = len(record.Keys)
				list = append(list, record.Token)
			}
		})
		if err != nil {
			return nil, refusal(err, "list the tokens")
		}
	}
	return list, nil
}

// RevokeToken ends a token, everywhere within a second.
func (s *Store) RevokeToken(ctx context.Context, id string, w Write) error {
	tried := "revoke token " + quoted(id)
	if len(id) > maxKeyName {
		return mesh.NotFound("there is no token %s", quoted(id))
	}
	for _, prefix := range []string{tokenPrefix, scopedPrefix, joinPrefix} {
		kv, err := s.read(ctx, prefix+id, tried)
		if err != nil {
			return err
		}
		if kv == nil {
			continue
		}
		var record tokenRecord
		_ = json.Unmarshal(kv.Value, &record) // one that nobody can read is an admin's to end
		if record.ID = id; w.By.ID != id {
			if _, err := s.tokenRight(ctx, w.By, record.Token); err != nil {
				return err
			}
		}
		t := s.newTxn(tried, Write{})
		t.require(clientv3.Compare(clientv3.CreateRevision(prefix+id), ">", 0), clientv3.OpGet(prefix+id, clientv3.WithKeysOnly()), func(found []*mvccpb.KeyValue) error {
			if len(found) == 0 {
				return mesh.NotFound("there is no token %s", quoted(id))
			}
			return nil
		})
		t.do(clientv3.OpDelete(prefix + id))
		t.audit = auditOfToken(w, "revoke", record.Token)
		_, _, err = t.commit(ctx, "", nil)
		s.tokens.forget(prefix + id)
		return err
	}
	if !w.By.Admin() {
		return mesh.Denied("there is no token %s that may be ended with the access token, which is limited to %s", quoted(id), w.By.limit())
	}
	return mesh.NotFound("there is no token %s", quoted(id))
}

// mostEnded bounds the tokens that end with one write; etcd takes 128 operations in a transaction.
const mostEnded = 100

// endFormer ends the tokens of a service that is declared anew which are of the
// time when another owner had declared it: the name is somebody else's now.
func (s *Store) endFormer(ctx context.Context, t *txn, service *mesh.Service) error {
	all, err := s.Tokens(ctx)
	if err != nil {
		return err
	}
	var ended []string
	for _, token := range all {
		if token.Service == service.Name && len(token.Owners) > 0 && !token.Owns(service.Owner) {
			t.do(clientv3.OpDelete(token.key()))
			ended = append(ended, token.ID)
		}
	}
	if len(ended) > mostEnded {
		return mesh.Conflict("%s: there are %d tokens for it of the time when another owner had declared it: end them first (heddle token revoke)", t.tried, len(ended))
	}
	if len(ended) > 0 {
		t.audit.Changes = append(t.audit.Changes, mesh.AuditChange{Field: "tokens of the former owner", Before: strings.Join(ended, ",")})
	}
	return nil
}

// Authenticate finds the token of a secret. Denied: there is none. With etcd
// away, a token that was used before is still known.
func (s *Store) Authenticate(ctx context.Context, secret string) (Token, error) {
	denied := mesh.Denied("the access token is not known here; it may have been revoked")
	parts := strings.Split(secret, "_")
	prefixes := map[string]string{"hdl": tokenPrefix, "hds": scopedPrefix}
	if len(secret) > 256 || len(parts) != 3 || prefixes[parts[0]] == "" || parts[1] == "" {
		return Token{}, denied
	}
	record, err := s.tokenRecord(ctx, prefixes[parts[0]]+parts[1])
	if err != nil {
		return Token{}, err
	}
	if record == nil || subtle.ConstantTimeCompare([]byte(record.Hash), []byte(hashOf(secret))) != 1 {
		return Token{}, denied
	}
	return record.Token, nil
}

// tokenRecord reads a token, or nil if there is none.
func (s *Store) tokenRecord(ctx context.Context, key string) (*tokenRecord, error) {
	cached, known := s.tokens.get(key)
	asked := timeNow() // the answer may be as old as this
	if known && asked.Sub(cached.readAt) < tokenCacheTime {
		return &cached.record, nil
	}
	kv, err := s.read(ctx, key, "check the access token")
	switch {
	case err != nil && known && mesh.KindOf(err) == mesh.KindUnavailable:
		return &cached.record, nil
	case err != nil:
		return nil, err
	case kv == nil:
		s.tokens.forget(key)
		return nil, nil //nolint:nilnil // no such token is no error here
	}
	var record tokenRecord
	if err := json.Unmarshal(kv.Value, &record); err != nil {
		return nil, mesh.Unavailable(err, "check the access token: its record in etcd is corrupt")
	}
	s.tokens.put(key, cachedToken{record, asked})
	return &record, nil
}

func (c *tokenCache) get(key string) (cachedToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cached, known := c.byKey[key]
	return cached, known
}

func (c *tokenCache) put(key string, read cachedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = map[string]cachedToken{}
	}
	c.byKey[key] = read
}

func (c *tokenCache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byKey, key)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
