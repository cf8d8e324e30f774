package agent

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// What exceeds a bound of gossip is a problem, of all together that are no members, and in the log
// once, however often and in however many words it is said.
func TestWhatExceedsABoundIsAProblemOfItsHost(t *testing.T) {
	var log logtest.Buffer
	plain := quick("a", "127.0.0.1:0")
	plain.Fleet, plain.Keys = "", nil
	a := start(t, Config{Gossip: plain, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	to, err := net.Dial("udp", a.gossip.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for i := range 500 {
		// As memberlist frames what is its users', and gossip numbers the fields.
		large := map[int]any{1: fmt.Sprint("key-", i), 2: 1, 4: []byte(strings.Repeat("x", 100+i))}
		body, err := cbor.Marshal(map[int]any{1: "evil", 2: []any{map[int]any{1: "victim", 2: uint64(1) << 32, 4: 1, 5: []any{large, map[int]any{1: strings.Repeat("k", gossip.MaxKeyBytes+1+i), 2: 1}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(append([]byte{8}, body...)); err != nil {
			t.Fatal(err)
		}
	}
	a.until(t, "it to be a problem", func(s *hosts.State) error {
		return hasProblem(s, "hosts that are no members", "", `what "evil" says of "victim" is not taken`)
	})
	heddletest.Eventually(t, "it to be logged", func() error {
		if !strings.Contains(log.String(), `host="hosts that are no members"`) {
			return fmt.Errorf("%s", log.String())
		}
		return nil
	})
	if lines := strings.Count(log.String(), "\n"); lines > 5 {
		t.Errorf("%d lines of log:\n%s", lines, log.String())
	}
}

// Of a host that tells of thousands of services that cannot be some are named, and the rest is counted.
func TestOfManyThatCannotBeSomeAreNamed(t *testing.T) {
	host := gossip.Host{Name: "evil", Entries: map[string][]byte{}}
	for i := range gossip.MaxEntries {
		host.Entries[fmt.Sprint(i)] = []byte{0xff}
	}
	_, list, refused := readOf(host)
	if len(list) != 0 || len(refused) != mostRefused+1 || !strings.Contains(refused[mostRefused].Message, "4080 services more") {
		t.Errorf("%d services, %d problems: %v", len(list), len(refused), refused[len(refused)-1])
	}
}
