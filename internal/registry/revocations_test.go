package registry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// A revocation ends the join tokens of what is revoked and no others, is seen by who
// watches, and can be taken back.
func TestRevocationsAreKept(t *testing.T) {
	s := openStore(t)
	ctx := t.Context()
	workload := "workload/" + strings.Repeat("0a", mesh.WorkloadNameLength/2)
	for _, of := range []string{"", "web", "service/", "service/Web", "heddle/server", "heddle/root", "workload/x", "workload/" + strings.Repeat("0A", mesh.WorkloadNameLength/2), "service/a/b"} {
		if made, err := s.Revoke(ctx, of, registry.Write{}); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("%q: %+v, %v", of, made, err)
		}
		if err := s.Unrevoke(ctx, of, registry.Write{}); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("%q taken back: %v", of, err)
		}
	}
	for _, token := range []registry.Token{{Service: "web"}, {Service: "web"}, {Gateway: "web"}, {Service: "orders"}} {
		if _, _, err := s.CreateJoinToken(ctx, token, time.Minute, registry.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	seen := make(chan mesh.Change, 10)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) {
			for _, change := range b.Changes {
				if change.Revocation != nil {
					seen <- change
				}
			}
		})
	}()
	defer func() { stop(); <-watched }()
	for _, of := range []string{"service/web", workload} {
		made, err := s.Revoke(ctx, of, registry.Write{Author: "ada", Source: "rest"})
		if err != nil || made.Of != of || time.Since(made.At) > time.Minute || made.Meta.Author != "ada" {
			t.Fatalf("%+v, %v", made, err)
		}
		ended, err := s.Audit(ctx, registry.AuditQuery{Object: "join-token/", Limit: 1})
		if err != nil || len(ended) != 1 || ended[0].Action != "revoke" || made.At.Before(ended[0].Time) {
			t.Errorf("who joins until the last token is ended, by %+v, is not revoked by %+v, %v", ended, made, err)
		}
		if change := <-seen; change.Revocation.Of != of || !change.Revocation.At.Equal(made.At) || change.Deleted {
			t.Errorf("the watch has %+v", change)
		}
	}
	tokens, err := s.Tokens(ctx)
	if err != nil || len(tokens) != 2 || tokens[0].Service == "web" || tokens[1].Service == "web" {
		t.Errorf("%+v, %v", tokens, err)
	}
	if list, err := s.Revocations(ctx); err != nil || len(list) != 2 || list[0].Of != "service/web" || list[1].Of != workload {
		t.Errorf("%+v, %v", list, err)
	}
	if err := s.Unrevoke(ctx, "service/web", registry.Write{Author: "ada"}); err != nil {
		t.Error(err)
	}
	if change := <-seen; change.Revocation.Of != "service/web" || !change.Deleted {
		t.Errorf("the watch has %+v", change)
	}
	if err := s.Unrevoke(ctx, "service/web", registry.Write{Author: "ada"}); mesh.KindOf(err) != mesh.KindNotFound {
		t.Errorf("taken back twice: %v", err)
	}
	for object, want := range map[string]int{"identity/service/web": 2, workload: 1} {
		if entries, err := s.Audit(ctx, registry.AuditQuery{Object: object, Author: "ada"}); err != nil || len(entries) != want {
			t.Errorf("the audit has %+v of %s, %v", entries, object, err)
		}
	}
}
