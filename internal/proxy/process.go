package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// drainStrategy and listenerDrain are Envoy's drain settings. They govern
// both a listener that the control plane changed and our own drain at the end.
// "immediate" asks every connection to go with its next response: by then no
// caller should be here any more. The time is how long what a changed listener
// holds may still last: a database's connections have to outlive a change of
// its timeouts. Our own drain ends long before, with the process.
const (
	drainStrategy = "immediate"
	listenerDrain = 24 * time.Hour
)

// spec is what an Envoy process is started with.
type spec struct {
	path        string
	bootstrap   []byte
	concurrency int
	logLevel    string
	folder      string    // in which it runs; "": this process's
	out         io.Writer // gets what Envoy writes to its standard output: access logs
	log         *slog.Logger
}

// process is one Envoy that was started. When exited is done it is gone, all
// that it wrote has been read, and failure may be read.
type process struct {
	pid     int
	log     *slog.Logger
	last    *tail
	repeats repeats
	address chan string // gets the admin address once, or is closed without
	exited  context.Context
	asked   atomic.Bool // to end: what Envoy says of that is no warning
	failure error
}

// arguments has no hot restart: an Envoy that is killed would leave its shared
// memory behind, and a crashed one has nothing to hand over.
// --parent-shutdown-time-s belongs to hot restart and has no meaning without.
func (s spec) arguments() []string {
	return []string{
		"-c", "/dev/fd/3", // see start
		"--admin-address-path", "/dev/fd/4",
		"--disable-hot-restart",
		"--concurrency", strconv.Itoa(s.concurrency),
		"--drain-time-s", strconv.Itoa(int(listenerDrain.Seconds())),
		"--drain-strategy", drainStrategy,
		"--log-level", s.logLevel,
		"--log-format", envoyLogFormat,
	}
}

// start runs Envoy. The bootstrap goes in, and the admin address comes out, by
// pipes: there is no file that others could read, or that stays when this
// process is killed. (/dev/fd is the one folder below /dev that Envoy reads
// configuration from.)
func start(s spec) (*process, error) {
	var pipes pipes
	defer pipes.closeAll()
	configOut, configIn := pipes.make()
	adminOut, adminIn := pipes.make()
	logOut, logIn := pipes.make()
	// A pipe of its own, for Envoy opens /dev/stdout anew, which fails for a socket of
	// systemd's journal.
	accessOut, accessIn := pipes.make()
	if pipes.err != nil {
		return nil, fmt.Errorf("start Envoy: %w", pipes.err)
	}
	cmd := exec.Command(s.path, s.arguments()...) //nolint:noctx // it outlives ctx on purpose: it is drained, then stopped by stop
	cmd.Dir = s.folder
	cmd.Stdout, cmd.Stderr = accessIn, logIn
	cmd.ExtraFiles = []*os.File{configOut, adminIn}
	// Envoy talks to strangers, and to a control plane that may ask it for variables
	// of its environment (DataSource): the right to write is not for it.
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "HEDDLE_TOKEN=") })

	ended, err := StartBound(cmd)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("start Envoy (%s)", s.path), Err: err}
	}
	exited, gone := context.WithCancel(context.Background())
	p := &process{pid: cmd.Process.Pid, log: s.log, last: &tail{}, address: make(chan string, 1), exited: exited}
	pipes.keep(configIn, adminOut, logOut, accessOut)

	var readers sync.WaitGroup
	readers.Go(func() {
		defer configIn.Close()
		// An error means that Envoy died before it had read all; its exit says why.
		_, _ = configIn.Write(s.bootstrap)
	})
	readers.Go(func() { defer adminOut.Close(); p.readAddress(adminOut) })
	readers.Go(func() { defer logOut.Close(); p.readLog(logOut) })
	readers.Go(func() { defer accessOut.Close(); passOn(s.out, accessOut) })
	go func() {
		// The end comes first: only then do the pipes end for sure.
		p.failure = <-ended
		// Only a process that Envoy left behind could still hold them.
		last := time.Now().Add(time.Second)
		_, _, _, _ = configIn.SetWriteDeadline(last), adminOut.SetReadDeadline(last), logOut.SetReadDeadline(last), accessOut.SetReadDeadline(last)
		readers.Wait()
		gone()
	}()
	return p, nil
}

// passOn writes on what Envoy writes. A reader that has gone must not stop it: Envoy
// would block on a full pipe.
func passOn(to io.Writer, from io.Reader) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = io.Copy(io.Discard, from)
	}
}

// readAddress takes what --admin-address-path would have put into a file. Envoy
// writes it at once and keeps the pipe open.
func (p *process) readAddress(from io.Reader) {
	defer close(p.address)
	buffer := make([]byte, 256)
	n, err := from.Read(buffer)
	if err == nil {
		p.address <- strings.TrimSpace(string(buffer[:n]))
	}
}

// adminAddress waits until Envoy has said where its admin interface is. The
// error is the context's, or says that Envoy ended before.
func (p *process) adminAddress(ctx context.Context) (netip.AddrPort, error) {
	select {
	case <-ctx.Done():
		return netip.AddrPort{}, ctx.Err()
	case text, ok := <-p.address:
		if !ok {
			return netip.AddrPort{}, fmt.Errorf("there is no admin interface: Envoy ended before")
		}
		address, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("read Envoy's admin address: %w", err)
		}
		return address, nil
	}
}

// stop ends Envoy: politely, and after the grace, or when now is closed, by
// force. It returns when Envoy is gone.
func (p *process) stop(grace time.Duration, now <-chan struct{}) {
	if p.gone() {
		return // its id may be another process's by now
	}
	p.asked.Store(true)
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited.Done():
		return
	case <-timer.C:
		p.log.Warn("Envoy did not end when asked: killing it", "pid", p.pid, "after", grace)
	case <-now:
	}
	p.kill()
	<-p.exited.Done()
}

// awaitExit waits until Envoy is gone; false: it still runs after d.
func (p *process) awaitExit(d time.Duration) bool { return !sleep(p.exited, d) }

func (p *process) gone() bool { return p.exited.Err() != nil }

// signal asks Envoy; an error means that it is gone already.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(p.pid, s) }

// kill takes the whole process group, which Envoy leads.
func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

// pipes makes pipes and closes what is not kept.
type pipes struct {
	open []*os.File
	err  error
}

func (p *pipes) make() (out, in *os.File) {
	if p.err != nil {
		return nil, nil
	}
	out, in, p.err = os.Pipe()
	if p.err == nil {
		p.open = append(p.open, out, in)
	}
	return out, in
}

func (p *pipes) keep(files ...*os.File) {
	for _, kept := range files {
		for i, f := range p.open {
			if f == kept {
				p.open[i] = nil
			}
		}
	}
}

func (p *pipes) closeAll() {
	for _, f := range p.open {
		if f != nil {
			f.Close()
		}
	}
}
