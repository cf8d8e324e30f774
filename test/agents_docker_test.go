package test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/heddle-mesh/heddle/internal/dockerd"
	"github.com/heddle-mesh/heddle/internal/dockertest"
	"github.com/heddle-mesh/heddle/internal/envoytest"
	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// dockerHost is a host in a network namespace: a container engine, an agent and its Envoy.
type dockerHost struct {
	*dockertest.Engine
	t         *testing.T
	namespace string
	agent     *heddletest.Process
}

// startDockerHosts starts two hosts on one wire.
func startDockerHosts(t *testing.T) []*dockerHost {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	envoy := envoytest.Path(t) // it may skip
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(gossipKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	name := func(number int) string { return fmt.Sprintf("dock%d-%d", number, os.Getpid()) }
	ip := func(line string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Skipf("this machine makes no network namespaces: ip %s: %v: %s", line, err, out)
		}
	}
	for i := range 2 {
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name(i)).Run() })
		ip("netns add " + name(i))
	}
	ip(fmt.Sprintf("-n %s link add eth0 type veth peer name eth0 netns %s", name(0), name(1)))
	var all []*dockerHost
	for i := range 2 {
		address := fmt.Sprint("10.77.9.", i+1)
		for _, line := range []string{"link set lo up", "link set eth0 up", "address add " + address + "/24 dev eth0"} {
			ip("-n " + name(i) + " " + line)
		}
		h := &dockerHost{t: t, namespace: "/run/netns/" + name(i)}
		h.Engine = dockertest.Start(t, dockerd.Config{Network: h.namespace})
		h.agent = heddle.Process(t, "agent", "--name", name(i), "--address", address, "--seed", "10.77.9.1", "--key-file", keys, "--docker", "--docker-host", "unix://"+h.Socket, "--envoy", envoy)
		h.agent.Command = func(program string, arguments ...string) *exec.Cmd {
			return h.Command(context.Background(), program, arguments...)
		}
		h.agent.Run()
		all = append(all, h)
	}
	for _, h := range all {
		h.agent.AwaitReady(&struct{}{})
	}
	return all
}

// inside calls in the host's network, in a thread that ends with it.
func (h *dockerHost) inside(call func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		namespace, err := os.Open(h.namespace)
		if err == nil {
			err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
			namespace.Close()
		}
		if err == nil {
			call()
		}
		done <- err
	}()
	return <-done
}

// asks asks at a port of the host's proxy, on a connection of its own.
func asks(port int) (string, error) {
	connection, err := net.DialTimeout("tcp", fmt.Sprint("127.0.0.1:", port), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d: %s", answer.StatusCode, body)
	}
	return string(body), err
}

// reaches waits until the host's proxy reaches these containers, and no others.
func (h *dockerHost) reaches(port int, want ...string) {
	h.t.Helper()
	heddletest.Eventually(h.t, fmt.Sprintf("port %d to reach %v", port, want), func() (err error) {
		seen := map[string]bool{}
		apart := h.inside(func() {
			for range 20 {
				var who string
				if who, err = asks(port); err != nil {
					return
				}
				seen[who] = true
			}
		})
		for _, one := range want {
			if !seen[one] {
				err = errors.Join(err, fmt.Errorf("%s did not answer", one))
			}
		}
		if len(seen) > len(want) {
			err = errors.Join(err, fmt.Errorf("%v answered", seen))
		}
		return errors.Join(apart, err)
	})
}

func webContainer(name string) dockerd.Container {
	return dockerd.Container{
		Name: name, Env: []string{"NAME=" + name, "LINGER=2s"}, Ports: []string{"8080", "9000"},
		Labels: map[string]string{"ServiceName": "web", "ServicePort_8080": "9001"},
	}
}

// What runs in the containers of one host is reached on another, for as long as it runs.
func TestContainersAreReachedOnAllHosts(t *testing.T) {
	all := startDockerHosts(t)
	one, two := all[0], all[1]
	first := one.Whoami(webContainer("one"))
	two.reaches(9001, "one")
	one.reaches(9001, "one")
	two.Whoami(webContainer("two"))
	two.reaches(9001, "one", "two")

	// A container is stopped while it is called: no call fails.
	var asked atomic.Int64
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		var fault error
		apart := two.inside(func() {
			for fault == nil {
				select {
				case <-stop:
					return
				default:
				}
				if _, fault = asks(9001); fault == nil {
					asked.Add(1)
				}
			}
		})
		failed <- errors.Join(apart, fault)
	}()
	heddletest.Eventually(t, "some calls", func() error {
		if n := asked.Load(); n < 100 {
			return fmt.Errorf("%d so far", n)
		}
		return nil
	})
	one.StopContainer(first)
	two.reaches(9001, "two")
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("of the calls while a container was stopped one failed: %v", err)
	}
	t.Logf("%d calls while a container was stopped", asked.Load())

	if _, err := one.Client.ContainerStart(t.Context(), first, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	two.reaches(9001, "one", "two")
	if err := one.Kill(); err != nil { // the engine; its containers live
		t.Fatal(err)
	}
	two.reaches(9001, "one", "two")
	if err := one.Start(t.Context()); err != nil { // which ends what it did not start
		t.Fatal(err)
	}
	two.reaches(9001, "two")
}

var containerRounds = flag.Int("container-rounds", 5, "containers that TestContainersAreReachedSoon starts; make bench-gossip has 50")

// How long it takes from a container's start until it is reached on another host.
func TestContainersAreReachedSoon(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	all := startDockerHosts(t)
	one, two := all[0], all[1]
	one.Whoami(webContainer("warm"))
	two.reaches(9001, "warm")
	var since, whole []time.Duration
	for i := range *containerRounds {
		c := webContainer(fmt.Sprint("c", i))
		port := 9100 + i
		c.Labels = map[string]string{"ServiceName": c.Name, "ServicePort_8080": fmt.Sprint(port)}
		c.Image = dockertest.Image
		id, err := one.Create(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := one.Client.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if err := two.inside(func() {
			for time.Since(started) < 30*time.Second {
				if who, err := asks(port); err == nil && who == c.Name {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("%s is not reached", c.Name)
		}); err != nil {
			t.Fatal(err)
		}
		since, whole = append(since, time.Since(started)), append(whole, time.Since(began))
		one.RemoveContainer(id)
		time.Sleep(1200 * time.Millisecond) // so that no change is coalesced with the next
	}
	slices.Sort(since)
	slices.Sort(whole)
	n := len(since)
	t.Logf("reached on the other host after the engine said that it had started: median %s, worst of %d %s; of docker start as a whole: median %s, worst %s",
		since[n/2].Round(time.Millisecond), n, since[n-1].Round(time.Millisecond), whole[n/2].Round(time.Millisecond), whole[n-1].Round(time.Millisecond))
	if since[n/2] > 2*time.Second {
		t.Errorf("half of the containers were not reached within %s", since[n/2])
	}
}
