package stage

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// childAttributes has the kernel kill the child when this process ends in
// whatever way, SIGKILL included.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Leftovers lists the processes that carry an entry in their environment. One that is ending has no
// Environment any more, and does not count.
func Leftovers(entry string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well formed
	wanted := []byte(entry)
	var found []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // another user's, or gone
		}
		for one := range bytes.SplitSeq(data, []byte{0}) {
			if !bytes.Equal(one, wanted) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				found = append(found, pid)
			}
			break
		}
	}
	return found
}
