package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"time"
)

// Lives says how long things last. The zero value is as operators want it.
type Lives struct {
	Authority time.Duration // default 10 years
	Leaf      time.Duration // default 90 days
	Settle    time.Duration // how long the next authority is trusted by all before it signs, at least; default 1 minute
}

func (l Lives) withDefaults() Lives {
	const day = 24 * time.Hour
	if l.Authority == 0 {
		l.Authority = 3650 * day
	}
	if l.Leaf == 0 {
		l.Leaf = 90 * day
	}
	if l.Settle == 0 {
		l.Settle = time.Minute
	}
	return l
}

// state is what the Secret holds.
type state struct {
	authority pair // signs
	next      pair // trusted, and signs later; zero: there is none yet
	published time.Time
	previous  []byte // PEM of those that signed before, until they end
	leaf      pair   // served
}

// pair is a certificate and its key, both PEM.
type pair struct{ certificate, key []byte }

func (p pair) empty() bool { return len(p.certificate) == 0 && len(p.key) == 0 }

// The keys of the Secret. tls.crt, tls.key and ca.crt are named as elsewhere.
const (
	RootsKey        = "ca.crt" // what others may see of it
	authorityKey    = "authority.crt"
	authoritySecret = "authority.key"
	nextKey         = "next.crt"
	nextSecret      = "next.key"
	publishedKey    = "next-published"
	previousKey     = "previous.crt"
	leafKey         = "tls.crt"
	leafSecret      = "tls.key"
)

func stateFrom(data map[string][]byte) state {
	published, err := time.Parse(time.RFC3339Nano, string(data[publishedKey]))
	if err != nil {
		published = time.Time{} // it is published anew, and settles once more
	}
	return state{
		authority: pair{data[authorityKey], data[authoritySecret]},
		next:      pair{data[nextKey], data[nextSecret]},
		published: published,
		previous:  data[previousKey],
		leaf:      pair{data[leafKey], data[leafSecret]},
	}
}

func (s state) data() map[string][]byte {
	out := map[string][]byte{
		RootsKey:     s.bundle(),
		authorityKey: s.authority.certificate, authoritySecret: s.authority.key,
		leafKey: s.leaf.certificate, leafSecret: s.leaf.key,
	}
	if !s.next.empty() {
		out[nextKey], out[nextSecret] = s.next.certificate, s.next.key
	}
	if !s.published.IsZero() {
		out[publishedKey] = []byte(s.published.UTC().Format(time.RFC3339Nano))
	}
	if len(s.previous) > 0 {
		out[previousKey] = s.previous
	}
	return out
}

// bundle is every root that may have signed what somebody serves, or will.
func (s state) bundle() []byte {
	return slices.Concat(s.authority.certificate, s.next.certificate, s.previous)
}

// advance gives what is to be served at a time, and why it differs; "" when it
// does not. Each authority lives through four quarters: in the first two it signs
// alone, in the third the next one is trusted beside it, and in the last that one
// signs, while this one is still trusted.
func (s state) advance(now time.Time, lives Lives, hosts []string) (state, string, error) {
	authority, err := s.authority.parse()
	if err != nil || !now.Before(authority.leaf.NotAfter) {
		fresh, err := newAuthority(now, lives.Authority)
		if err != nil {
			return s, "", err
		}
		s = state{authority: fresh}
		s.leaf, err = fresh.sign(now, lives.Leaf, hosts)
		return s, "there was no authority that can still sign", err
	}
	var why []string
	age := now.Sub(authority.leaf.NotBefore)
	if _, err := s.next.parse(); age >= lives.Authority/2 && err != nil {
		if s.next, err = newAuthority(now, lives.Authority); err != nil {
			return s, "", err
		}
		s.published = time.Time{}
		why = append(why, "the next authority is trusted from now on")
	}
	settled := !s.next.empty() && !s.published.IsZero() && now.Sub(s.published) >= lives.Settle
	if settled && age >= lives.Authority*3/4 {
		s.previous = slices.Concat(s.authority.certificate, s.previous)
		s.authority, s.next, s.published, s.leaf = s.next, pair{}, time.Time{}, pair{}
		why = append(why, "the next authority signs from now on")
	}
	if left := stillValid(s.previous, now); !bytes.Equal(left, s.previous) {
		s.previous = left
		why = append(why, "an authority has ended")
	}
	if !s.leafServes(now, lives, hosts) {
		if s.leaf, err = s.authority.sign(now, lives.Leaf, s.withOthers(now, lives, hosts)); err != nil {
			return s, "", err
		}
		why = append(why, "the certificate is renewed")
	}
	return s, strings.Join(why, "; "), nil
}

// withOthers adds to our hosts those of the leaf that is served while it is young: other
// replicas have them, or had them before they were told others, and would sign one of
// their own again. Renewed in the course of time it is for our own hosts alone; what
// others have yet they add once more.
func (s state) withOthers(now time.Time, lives Lives, hosts []string) []string {
	leaf, err := s.leaf.parse()
	if err != nil || !lives.young(leaf.leaf, now) {
		return hosts
	}
	all := slices.Concat(leaf.leaf.DNSNames, hosts)
	for _, ip := range leaf.leaf.IPAddresses {
		all = append(all, ip.String())
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > mostHosts {
		return hosts
	}
	return all
}

// mostHosts bounds what a leaf gathers of replicas that were told other hosts each time.
const mostHosts = 50

// young says whether a leaf is in the first half of its life.
func (l Lives) young(leaf *x509.Certificate, now time.Time) bool {
	return now.Before(leaf.NotBefore.Add(min(l.Leaf, l.Authority) / 2))
}

// leafServes says whether the leaf is good for the first half of its life, for
// these hosts and maybe others.
func (s state) leafServes(now time.Time, lives Lives, hosts []string) bool {
	leaf, err := s.leaf.parse()
	if err != nil {
		return false
	}
	authority, err := s.authority.parse()
	if err != nil || leaf.leaf.CheckSignatureFrom(authority.leaf) != nil {
		return false
	}
	for _, host := range hosts {
		names := func(name string) bool { return strings.EqualFold(name, host) }
		if ip := net.ParseIP(host); ip != nil && !slices.ContainsFunc(leaf.leaf.IPAddresses, ip.Equal) || ip == nil && !slices.ContainsFunc(leaf.leaf.DNSNames, names) {
			return false
		}
	}
	return lives.young(leaf.leaf, now)
}

// stillValid keeps of some PEM certificates those that have not ended.
func stillValid(certificates []byte, now time.Time) []byte {
	var left []byte
	for {
		var block *pem.Block
		if block, certificates = pem.Decode(certificates); block == nil {
			return left
		}
		if one, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(one.NotAfter) {
			left = append(left, pem.EncodeToMemory(block)...)
		}
	}
}
