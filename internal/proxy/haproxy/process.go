package haproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

const (
	configFile = "haproxy.cfg"
	stopGrace  = 5 * time.Second // for HAProxy to end after SIGTERM
)

// process is one HAProxy that was started: a master, which starts workers. Those end
// when it does, however it ends. When exited is done, failure may be read.
type process struct {
	pid     int
	folder  string
	log     *slog.Logger
	said    *tail
	exited  context.Context
	failure error
}

// start runs HAProxy in its folder, on the configuration there.
func start(path, folder string, log *slog.Logger) (*process, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start HAProxy: %w", err)
	}
	cmd := exec.Command(path, "-W", "-S", "unix@"+masterSocket+",mode,600", "-f", configFile) //nolint:noctx // it outlives ctx on purpose: it is drained, then stopped
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, in, in
	cmd.Env = []string{"LC_ALL=C"} // what is in ours is not for it, nor for a configuration to name
	ended, err := proxy.StartBound(cmd)
	in.Close()
	if err != nil {
		out.Close()
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("start HAProxy (%s)", path), Err: err}
	}
	exited, gone := context.WithCancel(context.Background())
	p := &process{pid: cmd.Process.Pid, folder: folder, log: log, said: &tail{}, exited: exited}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer out.Close()
		p.readLog(out)
	}()
	go func() {
		p.failure = <-ended
		// Workers close their end when they notice that the master has gone.
		_ = out.SetReadDeadline(time.Now().Add(time.Second))
		<-read
		gone()
	}()
	return p, nil
}

// check has HAProxy look at a configuration; the error has its words.
func check(ctx context.Context, path, folder, file string) error {
	cmd := exec.CommandContext(ctx, path, "-c", "-q", "-f", file)
	cmd.Dir, cmd.Env = folder, []string{"LC_ALL=C"}
	words, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("HAProxy refuses its configuration (%w): %s", err, strings.TrimSpace(string(words)))
	}
	return nil
}

func (p *process) socket(name string) string { return filepath.Join(p.folder, name) }

// signal asks the master; an error means that it is gone already.
func (p *process) signal(s syscall.Signal) {
	if p.exited.Err() == nil {
		_ = syscall.Kill(p.pid, s)
	}
}

// stop ends HAProxy with all that it has: politely, and after the grace by force.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.exited.Done():
		return
	case <-timer.C:
		p.log.Warn("HAProxy did not end when asked: killing it", "pid", p.pid, "after", stopGrace)
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // the group, workers included
	<-p.exited.Done()
}

// death says how it ended. To be called once it has.
func (p *process) death() error {
	how := "exit status 0"
	if p.failure != nil {
		how = p.failure.Error()
	}
	return fmt.Errorf("HAProxy ended (%s); its last words:\n%s", how, p.said)
}

// spoken is a line of HAProxy's: [LEVEL]   (pid) : text.
var spoken = regexp.MustCompile(`^\[(\w+)\]\s+\((\d+)\) : (.*)$`)

// readLog hands on what HAProxy says. Its warnings are of what it was asked to do: a
// server that is up, a listener that ended.
func (p *process) readLog(from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		level, text := slog.LevelDebug, strings.ToValidUTF8(lines.Text(), "?")
		if m := spoken.FindStringSubmatch(text); m != nil {
			text = m[3]
			if m[1] == "ALERT" && !strings.Contains(text, "has no server available") {
				level = slog.LevelError
			}
			if m[1] == "ALERT" {
				p.said.add(text)
			}
		} else {
			p.said.add(text)
		}
		p.log.Log(p.exited, level, text, "from", "haproxy")
	}
	_, _ = io.Copy(io.Discard, from) // it would block on a full pipe
}

// tail keeps the last alerts.
type tail struct {
	mu    sync.Mutex
	lines []string // guarded by mu; at most tailLines
}

const tailLines = 10

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	t.lines = t.lines[max(len(t.lines)-tailLines, 0):]
}

// String is what was said since it was cleared.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = nil
}
