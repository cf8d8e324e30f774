package registry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// firstToken is what is said of the first admin token, whoever chose its secret.
func firstToken() Token {
	return Token{Description: "made at the first start", Author: "heddle server"}
}

// EnsureAdminToken makes the first token, which may write everything, if there
// is none of any kind yet. It gives its secret then, and "" otherwise. The end of
// ctx does not cut it off: a token that is made and not told is lost.
func (s *Store) EnsureAdminToken(ctx context.Context) (secret string, err error) {
	token, secret, record, err := newToken(firstToken())
	if err != nil {
		return "", err
	}
	made, err := s.putFirst(ctx, token, record)
	if err != nil || !made {
		return "", err
	}
	return secret, nil
}

// AdoptAdminToken is [Store.EnsureAdminToken] with a secret that somebody else has
// made, of the form hdl_ID_SECRET, with 12 and 64 hexadecimal digits. False: nothing was
// made, for there are tokens already, or that one has been adopted before: what was
// revoked does not come back with a restart.
func (s *Store) AdoptAdminToken(ctx context.Context, secret string) (bool, error) {
	tried := "take over the first admin token"
	parts := strings.Split(secret, "_")
	if len(parts) != 3 || parts[0] != "hdl" || digits(parts[1], 6) == nil || digits(parts[2], 32) == nil || !random(digits(parts[2], 32)) {
		found, err := s.client.Get(ctx, tokenPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		switch {
		case err != nil:
			return false, refusal(err, tried)
		case found.Count > 0:
			return false, nil // it is not needed
		}
		return false, &mesh.Error{Kind: mesh.KindInvalid, Message: tried + `: it is not of the form hdl_ID_SECRET with a random secret; make one with: echo "hdl_$(openssl rand -hex 6)_$(openssl rand -hex 32)"`}
	}
	token := firstToken()
	token.ID, token.CreatedAt = parts[1], timeNow().UTC()
	record, err := json.Marshal(tokenRecord{Token: token, Hash: hashOf(secret)})
	if err != nil {
		return false, &mesh.Error{Kind: mesh.KindInvalid, Message: tried, Err: err}
	}
	return s.putFirst(ctx, token, string(record), adoptedPrefix+token.ID)
}

// digits gives so many bytes of lower-case hexadecimal, or nil.
func digits(text string, bytes int) []byte {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != bytes || text != strings.ToLower(text) {
		return nil
	}
	return data
}

// random refuses what somebody typed or repeated: of 32 random bytes fewer than 16
// differ once in 10^15 times.
func random(data []byte) bool {
	seen := map[byte]bool{}
	for _, one := range data {
		seen[one] = true
	}
	return len(seen) >= 16
}

// putFirst stores a token if there is none yet, and each of the marks, which must not
// be there either.
func (s *Store) putFirst(ctx context.Context, token Token, record string, marks ...string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	entry := auditOfToken(Write{Author: token.Author}, "create", token)
	audit, err := auditOp(entry)
	if err != nil {
		return false, err
	}
	// The comparison of a whole prefix holds when nothing is there.
	absent := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(tokenPrefix), "=", 0).WithPrefix()}
	puts := []clientv3.Op{clientv3.OpPut(token.key(), record), audit}
	for _, mark := range marks {
		absent = append(absent, clientv3.Compare(clientv3.CreateRevision(mark), "=", 0))
		puts = append(puts, clientv3.OpPut(mark, ""))
	}
	answer, err := s.client.Txn(ctx).If(absent...).Then(puts...).Commit()
	if err != nil {
		return false, refusal(err, "create the first token")
	}
	if answer.Succeeded {
		s.audited(ctx, entry, answer.Header.Revision)
	}
	return answer.Succeeded, nil
}
