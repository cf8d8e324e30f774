package kubetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// shownLog bounds what a failed test shows of a program's log, in bytes.
const shownLog = 8 << 10

func logFile(folder, program string) string { return filepath.Join(folder, program+".log") }

// logs gives the end of each program's log, of those that were stopped too.
func (c *Cluster) logs() string {
	var b strings.Builder
	for _, name := range names {
		file := logFile(c.folder, name)
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(&b, "log of %s:\n%s\n", name, tail(file))
		}
	}
	return b.String()
}

// chatter matches the lines of Kubernetes' logs that are no warning, and those
// that each start gives.
var chatter = regexp.MustCompile(`^(I\d{4} |W\d{4} .*(Skipping API |\] \[core\] )|\{"level":"warn".*"caller":"(embed/config|auth/store)\.go)`)

// tail gives the end of a log, without chatter.
func tail(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		if !chatter.MatchString(line) {
			b.WriteString(line)
		}
	}
	if b.Len() > shownLog {
		return fmt.Sprintf("(%d bytes left out)\n%s", b.Len()-shownLog, b.String()[b.Len()-shownLog:])
	}
	return b.String()
}
