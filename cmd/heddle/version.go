package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker (-X main.version=v1.2.3) in released binaries.
var version = ""

type versionCmd struct{}

// Help is shown below the usage.
func (versionCmd) Help() string { return "Example:\n\n  heddle version" }

// Run prints the version, the commit and the Go version on one line.
func (versionCmd) Run(con *console) error {
	_, err := fmt.Fprintln(con.out, versionLine())
	return err
}

func versionLine() string {
	release, commit := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if release == "" {
			release = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = " (" + s.Value[:12] + ")"
			}
		}
	}
	return fmt.Sprintf("heddle %s%s, %s %s/%s", release, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
