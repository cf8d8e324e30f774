package xds_test

import (
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// With anything but a runtime layer a proxy would lose its traffic together with
// its control plane.
func TestOnlyRuntimeMayExpire(t *testing.T) {
	for _, typeURL := range servedTypes {
		r, err := xds.NewExpiring(typeURL, "heddle", message(typeURL, "heddle", "eds"), xds.Origin{}, time.Minute)
		if may := typeURL == xds.TypeRuntime; may != (err == nil) {
			t.Errorf("%s: %+v, %v", typeURL, r, err)
		}
	}
	if _, err := xds.NewExpiring(xds.TypeRuntime, "heddle", message(xds.TypeRuntime, "heddle", "t1"), xds.Origin{}, -time.Second); err == nil {
		t.Error("it took a negative TTL")
	}
}

// The version tells the TTL, and without one it is as it always was.
func TestTTLIsInTheVersion(t *testing.T) {
	versions := map[string]time.Duration{}
	for _, ttl := range []time.Duration{0, time.Minute, time.Hour} {
		r := expiring(t, xds.TypeRuntime, "heddle", "t1", ttl)
		if other, there := versions[r.Version]; there {
			t.Errorf("%s and %s have one version", ttl, other)
		}
		versions[r.Version] = ttl
		if again := expiring(t, xds.TypeRuntime, "heddle", "t1", ttl); again.Version != r.Version {
			t.Errorf("%s: made again, its version is another", ttl)
		}
	}
	if plain := resource(t, xds.TypeRuntime, "heddle", "t1"); versions[plain.Version] != 0 {
		t.Error("without a TTL it has the version of one with")
	} else if _, there := versions[plain.Version]; !there {
		t.Error("without a TTL it has a version of its own")
	}
}
