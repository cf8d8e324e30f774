//go:build !linux

package kubetest

import "os/exec"

// dieWithParent does nothing where the kernel has no parent-death signal.
func dieWithParent(*exec.Cmd) {}

// apart does nothing where there are no namespaces; nodes are not started there.
func apart(*exec.Cmd) {}
