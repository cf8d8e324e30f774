//go:build !linux

package demo

import "syscall"

// childAttributes: only Linux can also tie a child's life to ours.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// leftovers cannot be found without /proc.
func leftovers(string) []int { return nil }
