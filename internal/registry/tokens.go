package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Token is a right, without its secret: to write, or to join.
type Token struct {
	ID          string           `json:"id"`
	Kind        TokenKind        `json:"kind,omitempty"` // "": to write
	Description string           `json:"description,omitempty"`
	Service     mesh.ServiceName `json:"service,omitempty"` // "": everything
	CreatedAt   time.Time        `json:"createdAt"`
	Author      string           `json:"author,omitempty"`

	// Of join tokens alone.
	Gateway   mesh.ServiceName `json:"gateway,omitempty"` // it is for gateways of this name instead of a service
	Authz     bool             `json:"authz,omitempty"`   // it is for AuthZ services instead
	ExpiresAt time.Time        `json:"expiresAt,omitzero"`
	Uses      int              `json:"uses,omitempty"` // how many workloads may join with it
	Used      int              `json:"used,omitempty"` // how many have
}

// TokenKind says what a token is a right to.
type TokenKind string

// JoinToken is the right to get one identity, and nothing else. The name of a
// gateway is not kept where a service's is: a server that knows of services alone
// must not take it for one.
const JoinToken TokenKind = "join"

// MayWrite says whether the token's holder may write a service and its instances.
func (t Token) MayWrite(service mesh.ServiceName) bool {
	return t.Admin() || t.Kind == "" && t.Service == service
}

// Admin says whether the token's holder may write everything.
func (t Token) Admin() bool { return t.Kind == "" && t.Service == "" }

// tokenRecord is what is stored: not the secret, but its hash. The secret has
// 256 random bits, so a plain hash of it cannot be turned back.
type tokenRecord struct {
	Token
	Hash string `json:"hash"` // SHA-256, hexadecimal
}

// tokenCacheTime is how long a token is taken as it was last read; so it is how
// long a revoked one may still be accepted.
const tokenCacheTime = time.Second

// tokenCache holds the tokens that were used; it is bounded by their number.
type tokenCache struct {
	mu   sync.Mutex
	byID map[string]cachedToken // guarded by mu
}

type cachedToken struct {
	record tokenRecord
	readAt time.Time
}

// CreateToken makes a token and gives its secret, which is stored nowhere.
func (s *Store) CreateToken(ctx context.Context, token Token) (Token, string, error) {
	token, secret, record, err := newToken(token)
	if err != nil {
		return Token{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if _, err := s.client.Put(ctx, tokenPrefix+token.ID, record); err != nil {
		return Token{}, "", refusal(err, "create a token")
	}
	return token, secret, nil
}

// EnsureAdminToken makes the first token, which may write everything, if there
// is none of any kind yet. It gives its secret then, and "" otherwise. The end of
// ctx does not cut it off: a token that is made and not told is lost.
func (s *Store) EnsureAdminToken(ctx context.Context) (secret string, err error) {
	token, secret, record, err := newToken(Token{Description: "made at the first start", Author: "heddle server"})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	// The comparison of a whole prefix holds when nothing is there.
	answer, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(tokenPrefix), "=", 0).WithPrefix()).
		Then(clientv3.OpPut(tokenPrefix+token.ID, record)).Commit()
	if err != nil {
		return "", refusal(err, "create the first token")
	}
	if !answer.Succeeded {
		return "", nil
	}
	return secret, nil
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
	if len(token.Description) > 1024 {
		faults.Add("description", "has %d bytes; at most 1024 are allowed", len(token.Description))
	}
	return mesh.Invalid("create a token", faults)
}

func newToken(token Token) (Token, string, string, error) {
	if err := tokenFaults(token); err != nil {
		return Token{}, "", "", err
	}
	token, secret := withSecret(token, "hdl")
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
	for _, prefix := range []string{tokenPrefix, joinPrefix} {
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
func (s *Store) RevokeToken(ctx context.Context, id string) error {
	if len(id) > maxKeyName {
		return mesh.NotFound("there is no token %s", quoted(id))
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	deleted, err := s.client.Txn(ctx).Then(clientv3.OpDelete(tokenPrefix+id), clientv3.OpDelete(joinPrefix+id)).Commit()
	if err != nil {
		return refusal(err, "revoke token "+quoted(id))
	}
	s.tokens.forget(id)
	if deleted.Responses[0].GetResponseDeleteRange().Deleted+deleted.Responses[1].GetResponseDeleteRange().Deleted == 0 {
		return mesh.NotFound("there is no token %s", quoted(id))
	}
	return nil
}

// Authenticate finds the token of a secret. Denied: there is none. With etcd
// away, a token that was used before is still known.
func (s *Store) Authenticate(ctx context.Context, secret string) (Token, error) {
	denied := mesh.Denied("the access token is not known here; it may have been revoked")
	parts := strings.Split(secret, "_")
	if len(secret) > 256 || len(parts) != 3 || parts[0] != "hdl" || parts[1] == "" {
		return Token{}, denied
	}
	record, err := s.tokenRecord(ctx, parts[1])
	if err != nil {
		return Token{}, err
	}
	if record == nil || subtle.ConstantTimeCompare([]byte(record.Hash), []byte(hashOf(secret))) != 1 {
		return Token{}, denied
	}
	return record.Token, nil
}

// tokenRecord reads a token, or nil if there is none.
func (s *Store) tokenRecord(ctx context.Context, id string) (*tokenRecord, error) {
	cached, known := s.tokens.get(id)
	asked := timeNow() // the answer may be as old as this
	if known && asked.Sub(cached.readAt) < tokenCacheTime {
		return &cached.record, nil
	}
	kv, err := s.read(ctx, tokenPrefix+id, "check the access token")
	switch {
	case err != nil && known && mesh.KindOf(err) == mesh.KindUnavailable:
		return &cached.record, nil
	case err != nil:
		return nil, err
	case kv == nil:
		s.tokens.forget(id)
		return nil, nil //nolint:nilnil // no such token is no error here
	}
	var record tokenRecord
	if err := json.Unmarshal(kv.Value, &record); err != nil {
		return nil, mesh.Unavailable(err, "check the access token: its record in etcd is corrupt")
	}
	s.tokens.put(id, cachedToken{record, asked})
	return &record, nil
}

func (c *tokenCache) get(id string) (cachedToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cached, known := c.byID[id]
	return cached, known
}

func (c *tokenCache) put(id string, read cachedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = map[string]cachedToken{}
	}
	c.byID[id] = read
}

func (c *tokenCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
