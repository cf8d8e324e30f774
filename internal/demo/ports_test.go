package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

func TestTwoDemosNeverShareAPort(t *testing.T) {
	seen := map[int]bool{}
	for range 3 {
		block, err := reservePorts(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(block.close)
		for range 10 {
			port, err := block.take()
			if err != nil {
				t.Fatal(err)
			}
			if seen[port] {
				t.Errorf("port %d was given twice", port)
			}
			if port >= firstOutgoingPort() {
				t.Errorf("port %d is among those that the kernel gives away", port)
			}
			seen[port] = true
		}
	}
}

func TestPortsThatWereAskedForAreUsedOrRefused(t *testing.T) {
	free, err := reservePorts(0)
	if err != nil {
		t.Fatal(err)
	}
	base := free.next - 1
	free.close()
	block, err := reservePorts(base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(block.close)
	if _, err := reservePorts(base); err == nil || !strings.Contains(err.Error(), "choose others") {
		t.Errorf("a block that is in use: %v", err)
	}
	taken, err := listen(base + 1)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := block.take(); err == nil {
		t.Error("a port that is taken was skipped, though the user asked for it")
	}
	if port, err := block.take(); err != nil || port != base+2 {
		t.Errorf("got %d, %v", port, err)
	}
	for _, base := range []int{-1, 65536, 65500} {
		if _, err := reservePorts(base); err == nil {
			t.Errorf("base port %d was taken", base)
		}
	}
}

func TestABlockThatIsUsedUpSaysSo(t *testing.T) {
	block, err := reservePorts(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(block.close)
	for range blockSize {
		if _, err = block.take(); err != nil {
			return
		}
	}
	t.Error("more ports than there are")
}

func TestPollSaysWhatItSawLast(t *testing.T) {
	err := stage.Poll(t.Context(), 50*time.Millisecond, "the sun", func(context.Context) error { return errors.New("it rains") })
	if err == nil || !strings.Contains(err.Error(), "the sun: not within 50ms; at last: it rains") {
		t.Errorf("got %v", err)
	}
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("Ctrl-C"))
	if err := stage.Poll(stopped, time.Hour, "the sun", func(context.Context) error { return errors.New("it rains") }); err == nil || !strings.Contains(err.Error(), "Ctrl-C") {
		t.Errorf("got %v", err)
	}
}
