package meshdns

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// FuzzRespondsTo: whatever a packet holds, what goes back is a good message that
// answers it, or nothing; an answer is never answered.
func FuzzRespondsTo(f *testing.F) {
	for _, name := range []string{"orders.mesh.", "mesh.", "example.org.", ".", "a.b.mesh."} {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeAXFR, dns.TypeOPT} {
			query := new(dns.Msg).SetQuestion(name, kind)
			for range 2 {
				raw, err := query.Pack()
				if err != nil {
					f.Fatal(err)
				}
				f.Add(raw)
				f.Add(raw[:len(raw)-2])
				query.SetEdns0(512, true)
			}
		}
	}
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1}) // a name that points at itself
	f.Add(append(make([]byte, 12), bytes.Repeat([]byte{63}, 300)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		given := bytes.Clone(raw)
		answer, forward := respondsTo(raw)
		if !bytes.Equal(given, raw) {
			t.Fatal("the query was changed")
		}
		if len(raw) < 12 || raw[2]&0x80 != 0 {
			if answer != nil || forward {
				t.Fatal("answered what is no query")
			}
			return
		}
		if forward {
			if _, _, err := question(raw); err != nil || answer != nil {
				t.Fatalf("to be passed on, and there is no question to know the answer by: %v", err)
			}
			return
		}
		var back dns.Msg
		if err := back.Unpack(answer); err != nil {
			t.Fatalf("the answer is none: %v", err)
		}
		if !bytes.Equal(answer[:2], raw[:2]) || !back.Response {
			t.Fatalf("it answers something else: %v", &back)
		}
		if len(answer) > 2*len(raw)+300 {
			t.Fatalf("%d bytes for %d: of use to those who flood others", len(answer), len(raw))
		}
	})
}

// FuzzAnswers: what resolvers send never breaks the comparison.
func FuzzAnswers(f *testing.F) {
	query, err := new(dns.Msg).SetQuestion("example.org.", dns.TypeA).Pack()
	if err != nil {
		f.Fatal(err)
	}
	reply, err := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("example.org.", dns.TypeA)).Pack()
	if err != nil {
		f.Fatal(err)
	}
	copy(reply, query[:2])
	if !answers(reply, query) {
		f.Fatal("an answer is not taken")
	}
	f.Add(reply)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if answers(raw, query) && !bytes.Equal(raw[:2], query[:2]) {
			t.Fatal("another's answer is taken")
		}
	})
}
