package test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var soakFlag = flag.Duration("soak", 20*time.Second, "how long TestSoak runs")

// TestSoak is TestRandomChangesUnderLoad for as long as one likes, with faults:
// connections of the proxies are cut, the server is stopped for a while, killed
// and started again, sidecars leave and come back. It ends at the first request
// that fails and when the server's memory, goroutines or open files grow beyond
// their bounds; at Ctrl-C it ends as when its time is over. `make soak`.
func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out the 20 seconds of faults")
	}
	interrupted, restore := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer restore()
	list := seeds()
	seed := list[len(list)-1]
	k := &soak{random: rand.New(rand.NewPCG(seed, 2)), relay: startRelay(t), began: time.Now()}
	k.churn = newChurn(t, seed, churnConfig{settle: 30 * time.Second, pause: 100 * time.Millisecond, outages: true, relay: k.relay, until: interrupted})
	k.startLoad()
	enough, changed := make(chan struct{}), make(chan struct{})
	k.workers.Go(func() {
		defer close(changed)
		for k.ctx.Err() == nil {
			select {
			case <-enough:
				return
			default:
				k.change()
			}
		}
	})
	k.run()
	close(enough)
	<-changed
	k.awaitState() // with the requests still flowing
	k.askEverything()
	k.stopLoad()
	k.report("in all")
	if interrupted.Err() != nil {
		t.Log("interrupted: what came after is not judged")
	}
}

// soak is a churn with faults.
type soak struct {
	*churn
	random *rand.Rand // of the faults
	relay  *relay
	began  time.Time

	started     time.Time // the server's process
	first, last sample    // of this process
	highest     sample    // of all
	faults      int
}

const (
	// sampling is the time between two looks at the server's process.
	sampling = 5 * time.Second
	// warmUp is how long a process may grow before its first sample counts.
	warmUp = time.Minute
)

// run makes faults until the time is over or something fails. The server is
// killed each sixth of the time, and something smaller happens every ten seconds,
// oftener when time is short.
func (k *soak) run() {
	end := time.After(*soakFlag)
	kills := time.NewTicker(max(*soakFlag/6, time.Second))
	defer kills.Stop()
	faults := time.NewTicker(min(max(*soakFlag/10, time.Second), 10*time.Second))
	defer faults.Stop()
	samples := time.NewTicker(sampling)
	defer samples.Stop()
	minutes := time.NewTicker(time.Minute)
	defer minutes.Stop()
	k.started = time.Now()
	for {
		select {
		case <-end:
			return
		case <-k.ctx.Done():
			return
		case <-kills.C:
			k.note("kill the server and start it again")
			k.server.Kill()
			k.server.restart()
			k.started, k.first = time.Now(), sample{}
			k.faults++
		case <-faults.C:
			k.fault()
			k.faults++
		case <-samples.C:
			k.sample()
		case <-minutes.C:
			k.report("")
		}
	}
}

// fault is one of the smaller ones.
func (k *soak) fault() {
	switch k.random.IntN(6) {
	case 0, 1, 2:
		k.note("cut the proxies' connections")
		k.relay.cut()
	case 3:
		k.note("stop the server for 3 s")
		_ = k.server.Signal(syscall.SIGSTOP)
		<-time.After(3 * time.Second)
		_ = k.server.Signal(syscall.SIGCONT)
	case 4:
		side := k.sides[k.random.IntN(len(k.sides))]
		k.note("%s/%s leaves and comes back", side.service(), side.instance())
		workloads{side}.leave()
		workloads{side}.start(k.t)
	case 5:
		one := k.callers[k.random.IntN(len(k.callers))]
		k.note("%s/%s is started again", one.service, one.instance())
		one.resting.Lock()
		defer one.resting.Unlock()
		workloads{one.workload}.leave()
		workloads{one.workload}.start(k.t)
	}
}

// sample is what the server's process has of this machine.
type sample struct {
	resident, anonymous int // MiB
	goroutines, files   int
}

// sample looks at the server, and holds it to what it was after its warm-up:
// it may have twice as much, and a little.
func (k *soak) sample() {
	now, err := k.look()
	if err != nil {
		k.fail("look at the server: %w", err)
		return
	}
	k.last = now
	k.highest = sample{max(k.highest.resident, now.resident), max(k.highest.anonymous, now.anonymous),
		max(k.highest.goroutines, now.goroutines), max(k.highest.files, now.files)}
	if time.Since(k.started) < warmUp {
		return
	}
	if k.first == (sample{}) {
		k.first = now
	}
	for _, one := range []struct {
		what             string
		was, is, allowed int
	}{
		{"MiB of memory of its own", k.first.anonymous, now.anonymous, 2*k.first.anonymous + 64},
		{"goroutines", k.first.goroutines, now.goroutines, 2*k.first.goroutines + 100},
		{"open files", k.first.files, now.files, 2*k.first.files + 100},
	} {
		if one.is > one.allowed {
			k.fail("the server has %d %s; a minute after its start it had %d, and %d are allowed", one.is, one.what, one.was, one.allowed)
		}
	}
}

func (k *soak) look() (s sample, err error) {
	process := filepath.Join("/proc", strconv.Itoa(k.server.PID()))
	status, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); err == nil {
			s.resident = kilobytes >> 10
		}
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kilobytes); err == nil {
			s.anonymous = kilobytes >> 10
		}
	}
	files, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil {
		return s, err
	}
	s.files = len(files)
	s.goroutines, err = k.goroutines()
	return s, err
}

func (k *soak) goroutines() (n int, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, k.server.rest+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := plainClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "go_goroutines %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("go_goroutines is not among the metrics: %w", lines.Err())
}

// report logs a line, of how it is now or of the highest figures.
func (k *soak) report(which string) {
	s := k.last
	if which != "" {
		s = k.highest
		which += ", with the highest figures: "
	}
	k.t.Logf("%s %6s  %s%s, %d changes, %d faults, server: %d MiB resident (%d its own), %d goroutines, %d files",
		time.Now().Format(time.TimeOnly), time.Since(k.began).Round(time.Second), which, k.tally(), k.changes.Load(), k.faults,
		s.resident, s.anonymous, s.goroutines, s.files)
}

// relay stands between the proxies and the server's xDS port, so that
// connections can be cut.
type relay struct {
	address string

	mu   sync.Mutex
	to   string                // guarded by mu
	open map[net.Conn]struct{} // guarded by mu
}

func startRelay(t *testing.T) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: listener.Addr().String(), open: map[net.Conn]struct{}{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.serve(from) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.cut()
		all.Wait()
	})
	return r
}

func (r *relay) serve(from net.Conn) {
	defer from.Close()
	r.mu.Lock()
	address := r.to
	r.mu.Unlock()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return // the server is away
	}
	defer to.Close()
	r.mu.Lock()
	r.open[from] = struct{}{}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	_ = from.Close()
	<-done
	r.mu.Lock()
	delete(r.open, from)
	r.mu.Unlock()
}

// lead says where connections lead to.
func (r *relay) lead(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for one := range r.open {
		_ = one.Close()
	}
}
