package gossip

import (
	"fmt"
	"testing"

	"github.com/hashicorp/memberlist"
)

// Who asks, in whose name ever, has members sent so many bytes a second, by one letter at a
// time, and others nothing. All that was asked for comes in the end, once.
func TestAnswersAreBounded(t *testing.T) {
	n := bare(t, "third")
	var ask []Known
	for i := range 5 {
		host := fmt.Sprint("h", i)
		n.hosts[host] = &member{node: &memberlist.Node{Name: host}, status: Failed}
		n.receive(message{From: host, Deltas: []Delta{{Host: host, Epoch: firstEpoch(7), To: 1, Changes: changes(0, 250, MaxBytes, 1)}}})
		ask = append(ask, Known{Host: host})
	}
	n.receive(message{From: "nobody", Ask: ask})
	n.receive(message{From: "h0", Ask: ask}) // which is not alive
	if len(n.askers)+len(n.letters) != 0 {
		t.Fatalf("%d are answered", len(n.askers))
	}
	for range 100 {
		n.receive(message{From: "third", Ask: ask})
	}
	if len(n.letters) != 1 {
		t.Errorf("%d letters wait for one host", len(n.letters))
	}
	got := map[string]int{}
	for second := range 3 {
		bytes := 0
		for len(n.letters) > 0 { // as those do who send them
			<-n.letters
			a := n.askers["third"]
			for _, d := range a.take(n.state) {
				got[d.Host]++
				bytes += size(d)
			}
			a.queued = false
			n.queue("third", a)
		}
		if most := answerBytes + 5<<20; bytes > most {
			t.Errorf("%d bytes in a second", bytes)
		}
		if second == 0 && len(got) == len(ask) {
			t.Errorf("all in one second: %v", got)
		}
		n.resume()
	}
	if len(got) != len(ask) || got["h3"] != 1 {
		t.Errorf("%v was sent", got)
	}
	if len(n.askers) != 0 {
		t.Errorf("%d askers are remembered that ask nothing", len(n.askers))
	}
}
