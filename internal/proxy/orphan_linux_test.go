package proxy_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

func TestNoEnvoyOutlivesARunnerThatIsKilled(t *testing.T) {
	config := newConfig(t, startControlPlane(t, 0, 0), 0)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childVariable, config.Envoy, config.Bootstrap.XDS[0], config.Bootstrap.Proxy.OutboundPort))
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"
	if err != nil {
		t.Fatalf("the runner did not start: %v", err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}
