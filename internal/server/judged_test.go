package server_test

import (
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Who judged a workload by a service's declaration makes a join token of it only while
// that is what the service declares.
func TestAJoinTokenIsOfTheServiceThatWasJudged(t *testing.T) {
	s := newSecure(t)
	ctx := t.Context()
	admin := s.client(s.admin)
	declared, err := admin.PutService(ctx, service("judged"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(as mesh.Identity, judged int64) error {
		_, _, err := admin.CreateBoundJoinToken(ctx, as, client.Bound{Instance: "one"}, judged, "", time.Minute)
		return err
	}
	revision := declared.Meta.Revision
	if err := token(of("judged"), revision); err != nil {
		t.Errorf("as it was judged: %v", err)
	}
	other := service("judged")
	other.Owner = "another"
	if _, err := admin.PutService(ctx, other); err != nil {
		t.Fatal(err)
	}
	if err := token(of("judged"), revision); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("it changed hands: %v", err)
	}
	if err := admin.DeleteService(ctx, "judged", 0); err != nil {
		t.Fatal(err)
	}
	if err := token(of("judged"), revision); mesh.ReasonOf(err) != mesh.ReasonStale {
		t.Errorf("it is gone: %v", err)
	}
	for name, judged := range map[string]int64{"negative": -1, "of a gateway": 7} {
		as := of("judged")
		if judged > 0 {
			as = mesh.Identity{Kind: mesh.GatewayIdentity, Name: "edge"}
		}
		if err := token(as, judged); mesh.KindOf(err) != mesh.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
