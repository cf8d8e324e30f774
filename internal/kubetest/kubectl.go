package kubetest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Kubectl runs kubectl as an administrator and gives what it prints; what it
// says of a failure is in the error.
func (c *Cluster) Kubectl(t testing.TB, input string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.programs["kubectl"], append([]string{"--kubeconfig=" + c.Kubeconfig, "--cache-dir=" + c.file("kubectl")}, arguments...)...)
	var output, faults bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &output, &faults
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, bytes.TrimSpace(faults.Bytes()))
	}
	return output.String(), nil
}

// Apply applies manifests, YAML documents, and fails the test if one is
// refused. It returns once custom resources that they define can be used.
func (c *Cluster) Apply(t testing.TB, manifests string) {
	t.Helper()
	out, err := c.Kubectl(t, manifests, "apply", "--server-side", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(name, "customresourcedefinition.") {
			continue
		}
		Eventually(t, "have "+name+" established", func() error { // kubectl wait fails on one without a status
			_, err := c.Kubectl(t, "", "wait", "--for=condition=Established", "--timeout=1m", name)
			return err
		})
	}
}
