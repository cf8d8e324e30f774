package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// release is set by the linker (-X github.com/heddle-mesh/heddle/cmd/internal/cli.release=v1.2.3) in released binaries.
var release = ""

// Release is the version of a released binary, or "".
func Release() string { return release }

// VersionCommand tells what program this is.
type VersionCommand struct{}

// Help is shown below the usage.
func (VersionCommand) Help() string { return "Example:\n\n  heddle version" }

// Run prints the version, the commit and the Go version on one line.
func (VersionCommand) Run(con *Console) error {
	_, err := fmt.Fprintln(con.Out, con.Program+strings.TrimPrefix(VersionLine(), "heddle"))
	return err
}

// VersionLine is the version, the commit and the Go version.
func VersionLine() string {
	version, commit := release, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = " (" + s.Value[:12] + ")"
			}
		}
	}
	return fmt.Sprintf("heddle %s%s, %s %s/%s", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
