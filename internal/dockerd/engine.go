package dockerd

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second // above the 10 s that containers are given to end
	// socketBytes is what an address of a Unix socket has room for.
	socketBytes = 107
)

//go:embed keeper.sh
var keeper string

// Config says what is different of an engine. The zero value works.
type Config struct {
	// Folder is where the engine's own folder is made; default: that of temporary files.
	Folder string
	// Network is the file of the network namespace that the engine works in, such as
	// /run/netns/NAME; "": one of its own, without any connection to others.
	Network string
	// Flags are further ones of dockerd, such as "--live-restore".
	Flags []string
}

// Engine is one that was started. Its methods are for one goroutine; Client is for many.
type Engine struct {
	Client *client.Client
	// Socket is where the engine listens.
	Socket string

	folder, cgroup string
	network        string
	keeper         *exec.Cmd
	tell           io.WriteCloser
	answers        *bufio.Reader
}

// Lacks names a program that an engine needs and this machine has not, or "".
func Lacks() string {
	for _, program := range []string{"dockerd", "containerd", "runc", "iptables", "bash", "ip", "mount", "nsenter", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	return ""
}

// Start starts an engine, and waits until it answers.
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	folder, err := os.MkdirTemp(cfg.Folder, prefix)
	if err != nil {
		return nil, err
	}
	e := &Engine{folder: folder, Socket: filepath.Join(folder, "s"), cgroup: cgroupOf(folder), network: cfg.Network}
	if err := e.launch(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("start a container engine: %w", err), e.Close())
	}
	return e, nil
}

func (e *Engine) launch(ctx context.Context, cfg Config) error {
	if len(e.Socket) > socketBytes {
		return fmt.Errorf("%s is too long for a socket's address: use a folder with a shorter name", e.Socket)
	}
	settings := e.file("daemon.json")
	if err := os.WriteFile(settings, []byte("{}"), 0o600); err != nil {
		return err
	}
	line := []string{"unshare", "--pid", "--mount", "--fork", "--kill-child"}
	if cfg.Network != "" {
		line = append([]string{"nsenter", "--net=" + cfg.Network}, line...)
	} else {
		line = append(line, "--net")
	}
	line = append(line, "bash", "-c", keeper, "engine", e.folder,
		"--config-file", settings, "--data-root", e.file("root"), "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--host", "unix://"+e.Socket,
		"--log-level", "warn", "--cgroup-parent", "/"+e.cgroup, "--exec-opt", "native.cgroupdriver=cgroupfs")
	e.keeper = exec.CommandContext(context.WithoutCancel(ctx), line[0], append(line[1:], cfg.Flags...)...) // it ends in order, by Close
	e.keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                                             // a Ctrl-C at the terminal is for who started it
	var err error
	if e.tell, err = e.keeper.StdinPipe(); err != nil {
		return err
	}
	answers, err := e.keeper.StdoutPipe()
	if err != nil {
		return err
	}
	e.answers = bufio.NewReader(answers)
	log, err := os.OpenFile(e.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	e.keeper.Stderr = log
	if err := e.keeper.Start(); err != nil {
		e.keeper = nil
		return err
	}
	if e.Client, err = client.New(client.WithHost("unix://" + e.Socket)); err != nil {
		return err
	}
	return e.Start(ctx)
}

func (e *Engine) file(name string) string { return filepath.Join(e.folder, name) }

// say has the first process do something, and waits until it has.
func (e *Engine) say(words string) error {
	if _, err := fmt.Fprintln(e.tell, words); err != nil {
		return fmt.Errorf("%s: %w\n%s", words, err, e.Log())
	}
	if _, err := e.answers.ReadString('\n'); err != nil {
		return fmt.Errorf("%s: the engine's first process ended: %w\n%s", words, err, e.Log())
	}
	return nil
}

// Start starts the engine again after [Engine.Stop] or [Engine.Kill], and waits until it answers.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.say("start"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := e.Client.Ping(ctx, client.PingOptions{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w\n%s", err, e.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the engine in order: its containers as well, unless it has --live-restore.
func (e *Engine) Stop() error { return errors.Join(e.Signal("TERM"), e.say("wait")) }

// Kill ends the engine alone, as a crash does.
func (e *Engine) Kill() error { return errors.Join(e.Signal("KILL"), e.say("wait")) }

// Signal sends the engine a signal, such as STOP, which has it answer nothing until CONT.
func (e *Engine) Signal(name string) error { return e.say("signal " + name) }

// Command is one that runs in the engine's network, where its containers are reached.
func (e *Engine) Command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + e.Network(), name}, arguments...)...)
}

// Network is the file of the engine's network namespace.
func (e *Engine) Network() string {
	if e.network != "" {
		return e.network
	}
	return fmt.Sprintf("/proc/%d/ns/net", e.keeper.Process.Pid)
}

// Log is the end of what the engine logged.
func (e *Engine) Log() string {
	body, err := os.ReadFile(e.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(body[max(0, len(body)-8<<10):])
}

// Crash ends the engine and all its containers at once, as when a host loses its power.
func (e *Engine) Crash() {
	_ = e.keeper.Process.Kill() // fails only if it has ended
}

// Close ends the engine with all its containers, and leaves nothing of it.
func (e *Engine) Close() error {
	if e.Client != nil {
		_ = e.Client.Close() // it has no connections that matter
	}
	if e.keeper != nil {
		stop := time.AfterFunc(stopTimeout, func() { _ = e.keeper.Process.Kill() })
		_ = errors.Join(e.Signal("CONT"), e.Stop()) // it may have ended; all that is left ends now
		stop.Stop()
		_ = e.tell.Close()
		_ = e.keeper.Wait() // the status of a shell that was told no more
	}
	return errors.Join(removeCgroups(e.cgroup), os.RemoveAll(e.folder))
}

// Sweep removes what is left of engines that were started in a folder ([Config].Folder)
// by a process that was killed.
func Sweep(folder string) error {
	var faults []error
	left, _ := filepath.Glob(filepath.Join(folder, prefix+"*")) // the pattern is right
	for _, one := range left {
		faults = append(faults, removeCgroups(cgroupOf(one)), os.RemoveAll(one))
	}
	return errors.Join(faults...)
}

// prefix begins the names of engines' folders.
const prefix = "dk"

func cgroupOf(folder string) string { return "heddle-" + filepath.Base(folder) }

// removeCgroups removes the groups of containers, which the kernel keeps.
func removeCgroups(cgroup string) error {
	var faults []error
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		tops, _ := filepath.Glob(pattern + cgroup) // the pattern is right
		for _, top := range tops {
			var folders []string
			faults = append(faults, filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					folders = append(folders, path)
				}
				return err
			}))
			for i := len(folders) - 1; i >= 0; i-- {
				faults = append(faults, remove(folders[i]))
			}
		}
	}
	return errors.Join(faults...)
}

// remove removes a cgroup, whose processes were killed and may not have left it yet.
func remove(folder string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(folder)
		if err == nil || errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) || !strings.Contains(err.Error(), "busy") {
			return err
		}
	}
}
