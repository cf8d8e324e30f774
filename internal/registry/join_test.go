package registry_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

func TestAJoinTokenIsForItsUses(t *testing.T) {
	s := openStore(t)
	ctx := t.Context()
	token, secret, err := s.CreateJoinToken(ctx, registry.Token{Service: "web", Author: "ada"}, 0, registry.Write{})
	if err != nil || token.Kind != registry.JoinToken || token.Uses != 1 || !token.ExpiresAt.Equal(token.CreatedAt.Add(registry.DefaultJoinTTL)) {
		t.Fatalf("%+v, %v", token, err)
	}
	for name, wrong := range map[string]string{"empty": "", "cut": secret[:len(secret)-1], "changed": strings.Replace(secret, "hdj", "hdl", 1), "unknown": "hdj_aaaaaaaaaaaa_bb", "long": secret + strings.Repeat("a", 300)} {
		if _, err := s.Join(ctx, wrong, "key", registry.Write{}); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 { // the answer to the first may have been lost
		if got, err := s.Join(ctx, secret, "key", registry.Write{}); err != nil || got.Service != "web" {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := s.Join(ctx, secret, "another key", registry.Write{}); mesh.KindOf(err) != mesh.KindDenied || !strings.Contains(err.Error(), "used up (1 of 1)") {
		t.Errorf("used twice: %v", err)
	}
	list, err := s.Tokens(ctx)
	if err != nil || len(list) != 1 || list[0].Used != 1 || list[0].Kind != registry.JoinToken {
		t.Errorf("%+v, %v", list, err)
	}
	// It is no right to write.
	for _, as := range []string{secret, strings.Replace(secret, "hdj", "hdl", 1)} {
		if got, err := s.Authenticate(ctx, as); mesh.KindOf(err) != mesh.KindDenied {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if err := s.RevokeToken(ctx, token.ID, registry.Write{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(ctx, secret, "key", registry.Write{}); mesh.KindOf(err) != mesh.KindDenied {
		t.Errorf("revoked: %v", err)
	}
	if err := s.RevokeToken(ctx, token.ID, registry.Write{}); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("revoked twice: %v", err)
	}
}

// A crowd that has the same token at once gets no more uses than it has.
func TestManyJoinAtOnce(t *testing.T) {
	s := openStore(t)
	_, secret, err := s.CreateJoinToken(t.Context(), registry.Token{Service: "web", Uses: 3}, time.Minute, registry.Write{})
	if err != nil {
		t.Fatal(err)
	}
	var joined, denied atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			switch _, err := s.Join(t.Context(), secret, strconv.Itoa(i), registry.Write{}); {
			case err == nil:
				joined.Add(1)
			case mesh.KindOf(err) == mesh.KindDenied:
				denied.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if joined.Load() != 3 || denied.Load() != 17 {
		t.Errorf("%d joined, %d were denied", joined.Load(), denied.Load())
	}
}

func TestJoinTokensThatCannotBe(t *testing.T) {
	s := openStore(t)
	for name, c := range map[string]struct {
		token registry.Token
		ttl   time.Duration
		path  string
	}{
		"no service":    {registry.Token{}, 0, "service"},
		"no such name":  {registry.Token{Service: "A b"}, 0, "service"},
		"negative ttl":  {registry.Token{Service: "web"}, -time.Second, "ttl"},
		"too long":      {registry.Token{Service: "web"}, registry.LongestJoinTTL + 1, "ttl"},
		"negative uses": {registry.Token{Service: "web", Uses: -1}, 0, "uses"},
		"too many uses": {registry.Token{Service: "web", Uses: registry.MostJoinUses + 1}, 0, "uses"},
	} {
		_, secret, err := s.CreateJoinToken(t.Context(), c.token, c.ttl, registry.Write{})
		if mesh.KindOf(err) != mesh.KindInvalid || !strings.Contains(err.Error(), c.path) || secret != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
