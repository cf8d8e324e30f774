package heddletest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const givesPorts = "HEDDLE_TEST_GIVES_PORTS"

// Test processes that run at a time were given the same ports.
func TestPortsAreOfOneProcess(t *testing.T) {
	if begin, err := strconv.Atoi(os.Getenv(givesPorts)); err == nil {
		ports.begin = begin
		for range 2 * blockPorts {
			fmt.Println("port", FreePort(t))
		}
		return
	}
	own := map[string]bool{}
	for range 2 * blockPorts {
		line := fmt.Sprint("port ", FreePort(t))
		if own[line] {
			t.Errorf("%s is given twice", line)
		}
		own[line] = true
	}
	for range 2 { // that follow one another, with this one's ports unused still
		other := exec.Command(os.Args[0], "-test.run=^TestPortsAreOfOneProcess$")
		other.Env = append(os.Environ(), givesPorts+"="+strconv.Itoa(ports.begin))
		out, err := other.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		if len(lines) < 2*blockPorts {
			t.Errorf("it was given %d ports", len(lines))
		}
		for _, line := range lines {
			if own[line] {
				t.Errorf("another process is given %s, too", line)
			}
		}
	}
}

// A process that was just being started held the port that had been looked at.
func TestAPortIsFreeWhileProcessesStart(t *testing.T) {
	ended := make(chan struct{})
	var starting sync.WaitGroup
	defer starting.Wait()
	defer close(ended)
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	for range 400 {
		listener, err := listenAt(FreePort(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
}
