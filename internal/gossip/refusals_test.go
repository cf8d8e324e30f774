package gossip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// bare is a node without a network, with members.
func bare(t *testing.T, members ...string) *Node {
	t.Helper()
	n, err := New(Config{Name: "self", Bind: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range members {
		n.hosts[name] = &member{node: &memberlist.Node{Name: name}, status: Alive}
	}
	return n
}

// One word of another about a version of a host does not keep that version from being
// fetched when the host has it, and what there was no room for is taken when there is.
func TestARefusalLastsForAWhile(t *testing.T) {
	n, epoch := bare(t, "victim", "evil"), firstEpoch(7)
	n.receive(message{From: "evil", Deltas: []Delta{{Host: "victim", Epoch: epoch, To: 6, Changes: changes(0, MaxEntries+1, 0, 6)}}})
	notice := message{From: "victim", Deltas: []Delta{{Host: "victim", Epoch: epoch, From: 6, To: 6}}}
	fetches := func() bool {
		n.receive(notice)
		select {
		case l := <-n.letters:
			return len(l.ask) == 1
		default:
			return false
		}
	}
	if !fetches() {
		t.Error("it is not fetched")
	}
	n.receive(message{From: "victim", Deltas: []Delta{{Host: "victim", Epoch: epoch, To: 6, Changes: changes(0, MaxEntries+1, 0, 6)}}})
	if once, twice := fetches(), fetches(); once || twice {
		t.Error("it is fetched again at once")
	}
	said := n.refusals["victim"].since
	n.refusals["victim"].again = time.Now() // after refusedFor
	if !fetches() || !n.refusals["victim"].since.After(said) {
		t.Error("it is never fetched again")
	}

	n = bare(t, "victim")
	large := Delta{Host: "victim", Epoch: epoch, To: 6, Changes: changes(0, 4, MaxBytes, 6)}
	n.state.total = MaxTotalBytes
	n.receive(message{From: "victim", Deltas: []Delta{large}})
	if list := n.Refusals(); len(list) != 1 || !strings.Contains(list[0].Message, "all hosts") {
		t.Errorf("without room: %v", list)
	}
	for range 2 { // with each digest
		if !fetches() {
			t.Error("what there was no room for is not fetched")
		}
		n.receive(message{From: "victim", Deltas: []Delta{large}})
	}
	n.state.total = 0
	n.receive(message{From: "victim", Deltas: []Delta{large}})
	if len(n.Refusals()) > 0 || n.state.at("victim").Version != 6 {
		t.Errorf("with room: %v", n.Refusals())
	}
}

// Names that nobody has hide no refusal of a member, which says who told what was refused.
func TestInventedNamesHideNoRefusal(t *testing.T) {
	n := bare(t, "victim", "evil")
	bad := func(host string) {
		delegate{n}.NotifyMsg(encode(message{From: "evil", Deltas: []Delta{{Host: host, Epoch: firstEpoch(7), To: 1, Changes: changes(0, 1, MaxBytes+1, 1)}}}))
	}
	for i := range 2 * mostRefusals {
		bad(fmt.Sprint("nobody-", i))
		n.receive(message{From: "evil", Deltas: []Delta{{Host: fmt.Sprint("nothing-", i), Epoch: firstEpoch(7), To: 1, Changes: changes(0, MaxEntries+1, 0, 1)}}})
	}
	bad("victim")
	list := n.Refusals()
	if len(list) != 2 || list[0].Host != overfull || list[1].Host != "victim" || !strings.Contains(list[1].Message, `what "evil" says of "victim"`) {
		t.Errorf("%v", list)
	}
	many := make([]Known, mostOfHosts+1)
	for i := range many {
		many[i].Host = "victim"
	}
	for what, m := range map[string]message{"asked": {Ask: many}, "compared": {Digest: many}, "told": {Deltas: make([]Delta, mostOfHosts+1)}} {
		m.From = "evil"
		if _, err := decode(encode(m)); err == nil || !strings.Contains(err.Error(), errLong.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
