package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/dockertest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/logtest"
)

// hostAddress is what a host's published ports are told at; no connection is made.
var hostAddress = netip.MustParseAddr("10.0.0.1")

// finds is a running source and what it has found so far.
type finds struct {
	t    *testing.T
	log  *logtest.Buffer
	mu   sync.Mutex
	seen [][]hosts.Service // guarded by mu
}

// start runs a source until the test ends.
func start(t *testing.T, s *Source) *finds {
	t.Helper()
	f := &finds{t: t, log: &logtest.Buffer{}}
	s.Logger = slog.New(slog.NewTextHandler(f.log, nil))
	s.Rules.Address = hostAddress
	if s.Rules.NameLabel == "" {
		s.Rules.NameLabel = "ServiceName"
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(list []hosts.Service) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.seen = append(f.seen, list)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(f.log.String())
		}
	})
	return f
}

func (f *finds) all() [][]hosts.Service {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// last is what was found last, a line for each service.
func (f *finds) last() string {
	all := f.all()
	if len(all) == 0 {
		return "nothing yet"
	}
	var lines []string
	for _, s := range all[len(all)-1] {
		line := s.Name
		if s.Health != "" {
			line += " " + string(s.Health)
		}
		if s.Reason != "" {
			line += " in doubt"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// comesTo waits for what is found to be this, and gives how long it took.
func (f *finds) comesTo(want string) time.Duration {
	f.t.Helper()
	began := time.Now()
	for f.last() != want {
		if time.Since(began) > 30*time.Second {
			f.t.Fatalf("found %q, to be %q", f.last(), want)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

func (f *finds) service(name string) hosts.Service {
	f.t.Helper()
	all := f.all()
	for _, s := range all[len(all)-1] {
		if s.Name == name {
			return s
		}
	}
	f.t.Fatalf("no %s in %s", name, f.last())
	return hosts.Service{}
}

func engineOf(t *testing.T, flags ...string) (*dockertest.Engine, Endpoint) {
	t.Helper()
	e := dockertest.Start(t, dockerd.Config{Flags: flags})
	return e, Endpoint{Host: "unix://" + e.Socket}
}

// never is an interval that shows what events alone tell.
const never = time.Hour

func web(name string) dockerd.Container {
	return dockerd.Container{Name: name, Labels: map[string]string{"ServiceName": name, "ServicePort_8080": "9001"}, Ports: []string{"8080", "9000"}}
}

// The life of containers, as the engine's events alone tell it.
func TestContainersComeAndGo(t *testing.T) {
	e, at := engineOf(t)
	early := web("early")
	earlyID := e.Whoami(early)
	f := start(t, &Source{Endpoint: at, Interval: never})
	f.comesTo("early")

	slow := web("slow")
	slow.Env = []string{"LINGER=2s"}
	id := e.Whoami(slow)
	f.comesTo("early, slow")
	s := f.service("slow")
	if s.ID != id[:12] || s.Image != dockertest.Image || s.Address != hostAddress || s.Created.IsZero() || len(s.Ports) != 2 || s.Ports[0].ServicePort != 9001 || s.Ports[1].ServicePort != 0 || s.Ports[0].Port == 8080 {
		t.Errorf("found as %+v", s)
	}

	stopped := make(chan time.Time)
	go func() {
		_, err := e.Client.ContainerStop(t.Context(), id, client.ContainerStopOptions{})
		if err != nil {
			t.Error(err)
		}
		stopped <- time.Now()
	}()
	f.comesTo("early, slow draining") // the engine tells of the signal before the container ends
	draining := time.Now()
	if ahead := (<-stopped).Sub(draining); ahead < time.Second {
		t.Errorf("it was draining %s before its end, of the 2 s that it took", ahead)
	}
	f.comesTo("early")
	if _, err := e.Client.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	f.comesTo("early, slow")
	if _, err := e.Client.ContainerRestart(t.Context(), id, client.ContainerRestartOptions{}); err != nil {
		t.Fatal(err)
	}
	f.comesTo("early, slow")

	if _, err := e.Client.ContainerPause(t.Context(), earlyID, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	f.comesTo("early unhealthy, slow")
	if _, err := e.Client.ContainerUnpause(t.Context(), earlyID, client.ContainerUnpauseOptions{}); err != nil {
		t.Fatal(err)
	}
	f.comesTo("early, slow")
	if _, err := e.Client.ContainerKill(t.Context(), earlyID, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	f.comesTo("slow")
	if _, err := e.Client.ContainerKill(t.Context(), id, client.ContainerKillOptions{Signal: "SIGWINCH"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Client.ContainerRename(t.Context(), id, client.ContainerRenameOptions{NewName: "renamed"}); err != nil {
		t.Fatal(err)
	}
	f.comesTo("slow")
	e.RemoveContainer(id)
	f.comesTo("")
	for _, list := range f.all() {
		for _, s := range list {
			if s.Health == hosts.Draining && s.Name == "early" && s.ID != earlyID[:12] {
				t.Errorf("%+v", s)
			}
		}
	}
}

// A crash loop is not served while it is down, and what restarts by itself is found again.
func TestContainersThatRestartThemselves(t *testing.T) {
	e, at := engineOf(t)
	f := start(t, &Source{Endpoint: at, Interval: never})
	c := web("loop")
	c.Restart = container.RestartPolicyAlways
	e.Whoami(c)
	f.comesTo("loop")
	before := f.service("loop").Ports
	asks := func(method, path string) ([]byte, error) {
		return e.Command(t.Context(), "curl", "-sS", "-X", method, fmt.Sprintf("http://172.17.0.1:%d%s", before[0].Port, path)).CombinedOutput()
	}
	heddletest.Eventually(t, "the container to answer", func() error {
		_, err := asks("GET", "/health")
		return err
	})
	if out, err := asks("POST", "/exit"); err == nil {
		t.Fatalf("it answered, and is to end: %s", out)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if f.last() == "loop" && !slices.Equal(f.service("loop").Ports, before) {
			break // it has other ports after each start
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s at %v", f.last(), before)
		}
	}
}

// The engine's own HEALTHCHECK.
func TestHealthAsTheEngineSays(t *testing.T) {
	e, at := engineOf(t)
	f := start(t, &Source{Endpoint: at, Interval: never})
	c := web("sick")
	c.Env = []string{"NAME=sick"}
	c.Ports = []string{"31000:8080"}
	c.Health = &container.HealthConfig{Test: []string{"CMD", "/whoami", "check"}, Interval: 300 * time.Millisecond, Timeout: 5 * time.Second, Retries: 1}
	e.Whoami(c)
	f.comesTo("sick healthy")
	first := f.all()
	if got := first[len(first)-2]; len(got) != 1 || got[0].Health != hosts.Unknown || got[0].Check.Kind != hosts.CheckEngine {
		t.Errorf("before the first check: %+v", got)
	}
	set := func(status int) {
		t.Helper()
		url := fmt.Sprintf("http://172.17.0.1:31000/health?status=%d", status)
		if out, err := e.Command(t.Context(), "curl", "-sS", "-X", "POST", url).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	set(500)
	f.comesTo("sick unhealthy")
	set(200)
	f.comesTo("sick healthy")
}

// The engine is ended in order and started again, is killed, and is stopped for a while:
// what runs then is found, and nothing else.
func TestEngineGoesAwayAndComesBack(t *testing.T) {
	e, at := engineOf(t, "--live-restore")
	f := start(t, &Source{Endpoint: at, Interval: time.Second, Patience: 2 * time.Second, Timeout: 2 * time.Second})
	keep := web("keep")
	keep.Labels["heddle.check"] = "none"
	id := e.Whoami(keep)
	gone := e.Whoami(web("gone"))
	f.comesTo("gone, keep")
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	f.comesTo("gone, keep in doubt") // what the agent checks itself is not in doubt
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.comesTo("gone, keep")
	if err := e.Signal("STOP"); err != nil { // the source hears nothing, and asks in vain
		t.Fatal(err)
	}
	f.comesTo("gone, keep in doubt")
	if err := e.Signal("CONT"); err != nil {
		t.Fatal(err)
	}
	f.comesTo("gone, keep")
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if f.last() == "" {
		t.Error("an engine that keeps its containers was stopped, and they are gone")
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.RemoveContainer(gone)
	f.comesTo("keep")
	e.StopContainer(id)
	f.comesTo("")
	if told := strings.Count(f.log.String(), "cannot be asked; what ran last"); told != 1 {
		t.Errorf("it was told %d times in less than a minute that the engine was away:\n%s", told, f.log)
	}
}

// An engine that does not keep its containers ends them with itself.
func TestEngineEndsWithItsContainers(t *testing.T) {
	e, at := engineOf(t)
	f := start(t, &Source{Endpoint: at, Interval: never})
	one := web("one")
	e.Whoami(one)
	two := web("two")
	two.Restart = container.RestartPolicyUnlessStopped
	e.Whoami(two)
	f.comesTo("one, two")
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("while the engine is stopped: %q", f.last())
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.comesTo("two")
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.comesTo("two")
}

// Fifty containers at once are found soon, by few listings.
func TestManyContainersAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("50 containers take some time")
	}
	e, at := engineOf(t)
	f := start(t, &Source{Endpoint: at, Interval: never})
	f.comesTo("")
	const many = 50
	var ids []string
	for i := range many {
		c := web(fmt.Sprintf("c%02d", i))
		c.Image = dockertest.Image
		id, err := e.Create(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() {
			if _, err := e.Client.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	var want []string
	for i := range many {
		want = append(want, fmt.Sprintf("c%02d", i))
	}
	took := f.comesTo(strings.Join(want, ", "))
	t.Logf("%d containers were found %s after the last had started, in %d steps", many, took.Round(time.Millisecond), len(f.all()))
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
