package gossip

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A host that has the key and says what makes no sense, halves of messages and messages
// with some bytes changed, by packets and by connections, harms nobody.
func TestNonsenseOfAMemberHarmsNobody(t *testing.T) {
	f := &fleet{t: t}
	for i := range 3 {
		publish(t, f.start(fmt.Sprint("host-", i), func(c *Config) { c.Keys = Keys{make([]byte, 32)} }), entries(fmt.Sprint("service-", i)))
	}
	for _, n := range f.nodes {
		for i := range f.nodes {
			knows(t, n, fmt.Sprint("host-", i), Alive, entries(fmt.Sprint("service-", i)))
		}
	}
	babbler := f.nodes[2]
	sane := encode(message{
		From:   "host-2",
		Deltas: []Delta{{Host: "host-9", Epoch: run, To: 9, Changes: []Change{{Key: "k", Version: 1, Value: []byte("v")}}}},
		Ask:    []Known{{Host: "host-1"}}, Digest: []Known{{Host: "host-8", Epoch: run, Version: 3}},
	})
	for i := range 3000 {
		body := make([]byte, rand.IntN(300))
		if i%2 == 0 {
			body = append([]byte(nil), sane[:rand.IntN(len(sane)+1)]...)
		}
		for range rand.IntN(4) {
			if len(body) > 0 {
				body[rand.IntN(len(body))] = byte(rand.IntN(256))
			}
		}
		to, err := babbler.memberOf(fmt.Sprint("host-", i%2))
		if err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			err = babbler.list.SendReliable(to, body)
		} else {
			err = babbler.list.SendBestEffort(to, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	publish(t, f.nodes[0], entries("after"))
	for _, n := range f.nodes {
		knows(t, n, "host-0", Alive, entries("after"))
		knows(t, n, "host-1", Alive, entries("service-1"))
		knows(t, n, "host-2", Alive, entries("service-2"))
		if hosts := n.Hosts(); len(hosts) != 3 {
			t.Errorf("%s knows of %d hosts", n.cfg.Name, len(hosts))
		}
	}
}
