package certificates

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

var lives = Lives{Authority: 400 * time.Hour, Leaf: 20 * time.Hour, Settle: time.Hour}

var hosts = []string{"heddle-operator.heddle-system.svc", "127.0.0.1"}

func begin() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }

// trusts says whether a client that trusts a bundle takes what is served.
func trusts(t *testing.T, bundle []byte, served pair, now time.Time) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("the bundle has no certificate")
	}
	leaf, err := served.parse()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		if err := leaf.leaf.VerifyHostname(host); err != nil {
			return err
		}
	}
	_, err = leaf.leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now})
	return err
}

func advance(t *testing.T, s state, now time.Time) (state, string) {
	t.Helper()
	next, why, err := s.advance(now, lives, hosts)
	if err != nil {
		t.Fatal(err)
	}
	if again, why, _ := next.advance(now, lives, hosts); why != "" {
		t.Fatalf("at one time twice: %s", why)
	} else if string(again.bundle()) != string(next.bundle()) {
		t.Fatal("nothing was to change, and the bundle did")
	}
	return next, why
}

// For four authorities' lives: whoever has the bundle of an hour ago takes what is
// served now, and whoever has today's takes what was served an hour ago.
func TestRotationNeverOutrunsTrust(t *testing.T) {
	var last state
	s, _ := advance(t, last, begin())
	seen := map[string]bool{}
	for hour := range 1600 {
		now := begin().Add(time.Duration(hour) * time.Hour)
		next, why := advance(t, s, now)
		for one := range strings.SplitSeq(why, "; ") {
			seen[one] = true
		}
		if err := trusts(t, s.bundle(), next.leaf, now); err != nil {
			t.Fatalf("hour %d: who has the older roots refuses the new certificate: %v", hour, err)
		}
		if err := trusts(t, next.bundle(), s.leaf, now); err != nil {
			t.Fatalf("hour %d: who has the newer roots refuses the older certificate: %v", hour, err)
		}
		if read := stateFrom(next.data()); string(read.bundle()) != string(next.bundle()) || !read.published.Equal(next.published) {
			t.Fatalf("hour %d: what is stored is not what is read", hour)
		}
		if !next.next.empty() && next.published.IsZero() {
			next.published = now // what the keeper does once the bundle is where it has to be
		}
		s = next
	}
	for _, why := range []string{"the next authority is trusted from now on", "the next authority signs from now on", "the certificate is renewed", "an authority has ended"} {
		if !seen[why] {
			t.Errorf("never: %s", why)
		}
	}
}

// The next authority does not sign before its roots are known to be published.
func TestUnpublishedAuthorityDoesNotSign(t *testing.T) {
	s, _ := advance(t, state{}, begin())
	s, _ = advance(t, s, begin().Add(200*time.Hour))
	if s.next.empty() {
		t.Fatal("no next authority")
	}
	for hour := 300; hour < 390; hour += 10 {
		now := begin().Add(time.Duration(hour) * time.Hour)
		s, _ = advance(t, s, now)
		if s.next.empty() {
			t.Fatalf("hour %d: it signs without being published", hour)
		}
	}
}

func TestNamesAndDamage(t *testing.T) {
	first, _ := advance(t, state{}, begin())
	if next, why, err := first.advance(begin(), lives, append(hosts, "other")); err != nil || why == "" {
		t.Errorf("another name: %q, %v", why, err)
	} else if string(next.bundle()) != string(first.bundle()) {
		t.Error("another name needs no other authority")
	}
	if next, why, err := first.advance(begin(), lives, append(hosts, "10.9.8.7")); err != nil || why == "" {
		t.Errorf("another address: %q, %v", why, err)
	} else if leaf, err := next.leaf.parse(); err != nil || leaf.leaf.VerifyHostname("10.9.8.7") != nil {
		t.Errorf("another address is not in it: %v", err)
	}
	for what, damage := range map[string]func(*state){
		"no leaf":               func(s *state) { s.leaf = pair{} },
		"a leaf without a key":  func(s *state) { s.leaf.key = []byte("x") },
		"no authority":          func(s *state) { s.authority = pair{} },
		"half an authority":     func(s *state) { s.authority.key = nil },
		"an authority of words": func(s *state) { s.authority.certificate = []byte("hello") },
		"previous of words":     func(s *state) { s.previous = []byte("hello") },
	} {
		s := first
		damage(&s)
		next, why := advance(t, s, begin())
		if why == "" {
			t.Errorf("%s: nothing was done", what)
		}
		if err := trusts(t, next.bundle(), next.leaf, begin()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	expired, why := advance(t, first, begin().Add(500*time.Hour))
	if why == "" || trusts(t, expired.bundle(), expired.leaf, begin().Add(500*time.Hour)) != nil {
		t.Errorf("after its end: %q", why)
	}
}

// Replicas that were told other hosts, as while they are replaced, agree on one leaf for
// all of these, whatever their order; what nobody has any more goes with its renewal.
func TestReplicasWithOtherHostsAgree(t *testing.T) {
	replicas := [][]string{{"a.svc", "127.0.0.1"}, {"127.0.0.1", "b.svc"}, {"b.svc", "10.0.0.9"}}
	s, changes := state{}, 0
	for range 3 {
		for _, hosts := range replicas {
			next, why, err := s.advance(begin(), lives, hosts)
			if err != nil {
				t.Fatal(err)
			}
			if why != "" {
				changes++
			}
			s = next
		}
	}
	if changes != len(replicas) {
		t.Errorf("%d leaves were signed for %d replicas", changes, len(replicas))
	}
	leaf, err := s.leaf.parse()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a.svc", "b.svc", "127.0.0.1", "10.0.0.9"} {
		if err := leaf.leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	later := begin().Add(lives.Leaf * 3 / 4)
	if s, _, err = s.advance(later, lives, replicas[0]); err != nil {
		t.Fatal(err)
	}
	if leaf, err = s.leaf.parse(); err != nil || len(leaf.leaf.DNSNames) != 1 || len(leaf.leaf.IPAddresses) != 1 {
		t.Errorf("renewed for %v and %v (%v)", leaf.leaf.DNSNames, leaf.leaf.IPAddresses, err)
	}
}
