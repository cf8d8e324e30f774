//go:build !linux

package kubetest

import "os/exec"

// apart does nothing where there are no namespaces; nodes are not started there.
func apart(*exec.Cmd) {}
