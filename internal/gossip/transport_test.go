package gossip

import (
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/logtest"
)

func listening(t *testing.T) *transport {
	t.Helper()
	one, err := newTransport(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.Shutdown() })
	return one
}

// Whoever reaches the port can send packets: none takes more memory than it has bytes.
func TestPacketsTakeTheMemoryOfWhatTheyHave(t *testing.T) {
	to, from := listening(t), listening(t)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.port()).String()
	body := make([]byte, 100)
	send := func(times int) {
		for range times {
			if _, err := from.WriteTo(body, at); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-to.PacketCh():
				if len(got.Buf) != len(body) || got.From.String() != addrPortOf(from.tcp.Addr()).String() {
					t.Fatalf("%d bytes of %v", len(got.Buf), got.From)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the packet has not come")
			}
		}
	}
	send(10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 500
	send(times)
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 4096 {
		t.Errorf("a packet of %d bytes takes %d bytes of memory", len(body), each)
	}
}

// What cannot be read or accepted is told once in a while, and tried again.
func TestATransportGoesOnAndSaysSoOnce(t *testing.T) {
	var log logtest.Buffer
	one, err := newTransport(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !one.goesOn("connections cannot be accepted", syscall.EMFILE) {
			t.Error("it ends")
		}
	}
	if told := strings.Count(log.String(), "too many open files"); told != 1 {
		t.Errorf("told %d times", told)
	}
	_ = one.Shutdown()
	if one.goesOn("connections cannot be accepted", net.ErrClosed) || one.goesOn("connections cannot be accepted", syscall.EMFILE) {
		t.Error("it goes on after its end")
	}
}

// It ends while nobody takes what has come, and its port is free then.
func TestATransportEndsWithWhatNobodyTook(t *testing.T) {
	one, other := listening(t), listening(t)
	at := addrPortOf(one.tcp.Addr())
	if _, err := other.WriteTo([]byte("x"), at.String()); err != nil {
		t.Fatal(err)
	}
	connection, err := other.DialTimeout(at.String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := newTransport(t.Context(), at, one.logger); err == nil {
		t.Error("two listen at one port")
	}
	ended := make(chan error)
	go func() { ended <- one.Shutdown() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	again, err := newTransport(t.Context(), at, one.logger)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Shutdown()
}
