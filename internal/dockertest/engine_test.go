package dockertest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/heddle-mesh/heddle/internal/dockerd"
)

// An engine runs containers that are reached at their published ports, goes on after it
// was killed, and leaves nothing behind.
func TestEngineRunsContainers(t *testing.T) {
	folder, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	t.Run("life", func(t *testing.T) {
		e := Start(t, dockerd.Config{Folder: folder, Flags: []string{"--live-restore"}})
		id := e.Whoami(dockerd.Container{Name: "one", Env: []string{"NAME=one"}, Ports: []string{"31000:8080"}})
		reaches := func() {
			t.Helper()
			var out []byte
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if out, err = e.Command(t.Context(), "curl", "--silent", "--show-error", "http://172.17.0.1:31000/").CombinedOutput(); err == nil || time.Now().After(deadline) {
					break
				}
			}
			if err != nil || string(out) != "one" {
				t.Fatalf("%v: %s", err, out)
			}
		}
		reaches()
		if err := e.Kill(); err != nil {
			t.Fatal(err)
		}
		reaches()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		reaches()
		e.StopContainer(id)
		seen, err := e.Client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		if err != nil || seen.Container.State.Running || seen.Container.State.ExitCode != 0 {
			t.Errorf("after its end: %+v %v", seen.Container.State, err)
		}
		e.RemoveContainer(id)
	})
	left, _ := filepath.Glob(folder + "/*")
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/heddle-dk*")
	if len(left)+len(groups) > 0 {
		t.Errorf("left behind: %v %v", left, groups)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), folder) {
		t.Errorf("mounted: %s %v", mounts, err)
	}
}

// Two engines are two hosts: the same ports on both, and neither sees the other's containers.
func TestEnginesAreApart(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		e := Start(t, dockerd.Config{})
		e.Whoami(dockerd.Container{Name: "web", Env: []string{"NAME=" + name}, Ports: []string{"31000:9000"}})
		defer func() {
			out, err := e.Command(t.Context(), "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/31000; cat <&3").CombinedOutput()
			if err != nil || string(out) != name+"\n" {
				t.Errorf("%s: %v: %s", name, err, out)
			}
			all, err := e.Client.ContainerList(t.Context(), client.ContainerListOptions{All: true})
			if err != nil || len(all.Items) != 1 {
				t.Errorf("%s: %v %v", name, all.Items, err)
			}
		}()
	}
	if one, err := net.DialTimeout("tcp", "127.0.0.1:31000", time.Second); err == nil {
		body, _ := io.ReadAll(one)
		t.Errorf("published on the machine itself: %s", body)
	}
}
