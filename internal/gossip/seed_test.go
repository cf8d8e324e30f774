package gossip

import "testing"

func TestASeedHasTheFleetsPortUnlessItNamesOne(t *testing.T) {
	for _, one := range []struct {
		seed string
		own  uint16
		want string
	}{
		{"10.0.0.1", 0, "10.0.0.1:7946"}, {"10.0.0.1", 8946, "10.0.0.1:8946"}, {"10.0.0.1:1", 8946, "10.0.0.1:1"},
		{"fd00::1", 8946, "[fd00::1]:8946"}, {"[fd00::1]", 8946, "[fd00::1]:8946"}, {"one.example", 7946, "one.example:7946"},
	} {
		if got := withPort(one.seed, one.own); got != one.want {
			t.Errorf("%s of a host at %d: %s", one.seed, one.own, got)
		}
	}
}
