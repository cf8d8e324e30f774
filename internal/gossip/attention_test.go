package gossip

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// A loss that a host notes just after it slept waits, whatever is noted first; it goes when
// the other one answers, and is told when it does not.
func TestALossWaitsAfterASleep(t *testing.T) {
	n, err := New(Config{Name: "self", Bind: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	status := func(name string) Status { return n.host(name).Status }
	nodes := map[string]*memberlist.Node{}
	for i, name := range []string{"awake", "answers", "dead", "leaves"} {
		nodes[name] = &memberlist.Node{Name: name, Addr: []byte{127, 0, 0, byte(i + 2)}, Port: 7946}
		n.noted(nodes[name], Alive)
	}
	n.attention.beat(time.Now())
	n.noted(nodes["awake"], Failed)
	if got := status("awake"); got != Failed {
		t.Errorf("a host that never slept holds a loss back: %s", got)
	}
	n.attention.last = time.Now().Add(-3 * time.Second)
	for _, name := range []string{"answers", "dead", "leaves"} {
		n.noted(nodes[name], Failed)
		if got := status(name); got != Alive {
			t.Errorf("the loss of %s did not wait: %s", name, got)
		}
	}
	if !slices.Contains(n.back, netip.MustParseAddrPort("127.0.0.4:7946")) {
		t.Errorf("who is lost is not asked, but %v", n.back)
	}
	n.noted(nodes["answers"], Alive)
	n.state.records["leaves"] = &record{leaving: true}
	for range dazedBeats - 1 {
		n.attention.beat(time.Now())
		n.believe(true)
	}
	if got := status("dead"); got != Alive {
		t.Errorf("the loss is told too soon: %s", got)
	}
	n.attention.beat(time.Now())
	n.believe(true)
	for name, want := range map[string]Status{"answers": Alive, "dead": Failed, "leaves": Left} {
		if got := status(name); got != want {
			t.Errorf("in the end %s is %s, to be %s", name, got, want)
		}
	}
	n.noted(nodes["answers"], Failed)
	if got := status("answers"); got != Failed {
		t.Errorf("a host that is awake again holds a loss back: %s", got)
	}
}

// A beat for which a host slept is none that a loss waits for; but no loss waits for ever.
func TestSleepIsNoPatience(t *testing.T) {
	n := bare(t, "other")
	n.attention.doubted["other"] = &doubt{node: memberlist.Node{Name: "other", Addr: []byte{127, 0, 0, 2}}, beats: 1}
	n.attention.last = time.Now().Add(-time.Minute)
	for range mostNaps {
		n.believe(n.attention.beat(n.attention.last.Add(2 * lapse)))
	}
	if got := n.host("other").Status; got != Alive {
		t.Errorf("it is %s by sleep alone", got)
	}
	n.believe(n.attention.beat(n.attention.last.Add(2 * lapse)))
	if got := n.host("other").Status; got != Failed {
		t.Errorf("it is %s for ever", got)
	}
}

const (
	processEnv = "HEDDLE_TEST_GOSSIP_SEED"
	slowProbes = 400 * time.Millisecond
	suspicion  = 4 * slowProbes // memberlist's, in a fleet of a few
)

// runProcess is a host in a process of its own, for tests that stop it, until that is killed.
func runProcess() {
	name, seed, _ := strings.Cut(os.Getenv(processEnv), " ")
	n, err := New(Config{
		Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Seeds: []string{seed}, SyncInterval: time.Hour, ProbeInterval: slowProbes, RetryInterval: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		panic(err)
	}
	go func() {
		feed := n.Subscribe()
		for {
			list, err := feed.Wait(context.Background())
			if err != nil {
				return
			}
			for _, h := range list {
				fmt.Printf("TOLD %s %s %d\n", h.Name, h.Status, len(h.Entries))
			}
		}
	}()
	panic(n.Run(context.Background()))
}

// process is such a host; what it says is kept.
type process struct {
	t   *testing.T
	cmd *exec.Cmd

	mu   sync.Mutex
	said []string // guarded by mu
}

func startProcess(t *testing.T, name string, seed netip.AddrPort) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), processEnv+"="+name+" "+seed.String())
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			p.said = append(p.said, time.Now().Format("05.000 ")+lines.Text())
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); done.Wait(); _ = p.cmd.Wait() })
	return p
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) has(part string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.said, func(line string) bool { return strings.Contains(line, part) })
}

func (p *process) says(part string) {
	p.t.Helper()
	for since := time.Now(); !p.has(part); time.Sleep(time.Millisecond) {
		if time.Since(since) > 20*time.Second {
			p.t.Fatalf("it never said %q:\n%s", part, p.all())
		}
	}
}

func (p *process) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n")
}

// A host that is stopped while it suspects another one, which answers meanwhile, finds the time
// of its suspicion over when it goes on, and tells nobody of a loss.
func TestAHostThatSleptTakesNobodyForLost(t *testing.T) {
	f := &fleet{t: t}
	seed := f.start("seed", func(c *Config) { c.SyncInterval, c.ProbeInterval = time.Hour, slowProbes })
	sleeper, other := startProcess(t, "sleeper", seed.Address()), startProcess(t, "other", seed.Address())
	sleeper.says("TOLD other alive")
	other.says("TOLD sleeper alive")
	other.signal(syscall.SIGSTOP)
	sleeper.says("Suspect other has failed")
	sleeper.signal(syscall.SIGSTOP)
	other.signal(syscall.SIGCONT)
	time.Sleep(suspicion + 100*time.Millisecond)
	sleeper.signal(syscall.SIGCONT)
	publish(t, seed, entries("when it is awake"))
	sleeper.says("TOLD seed alive 1")
	for _, part := range []string{"host failed", "TOLD other failed"} {
		if sleeper.has(part) {
			t.Errorf("%q is told by one who slept:\n%s", part, sleeper.all())
		}
	}
}
