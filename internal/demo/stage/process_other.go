//go:build !linux

package stage

import "syscall"

// childAttributes: only Linux can also tie a child's life to ours.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Leftovers cannot be found without /proc.
func Leftovers(string) []int { return nil }
