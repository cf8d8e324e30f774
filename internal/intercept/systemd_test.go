package intercept_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/intercept"
)

// unitArguments are as heddle intercept install --persist makes them.
var unitArguments = []string{"--inbound-ports=8080", "--exclude-outbound-cidrs=10.0.0.0/8", "--exclude-interface=br-*", "--exclude-user=systemd-resolve"}

// hasSystemd skips where there are no programs of systemd.
func hasSystemd(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
}

// TestSystemdTakesTheUnit, and finds it hardened.
func TestSystemdTakesTheUnit(t *testing.T) {
	hasSystemd(t, "systemd-analyze")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit, err := intercept.Unit(program, unitArguments)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), intercept.UnitName)
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := run(t, "systemd-analyze", "verify", "--man=no", file); strings.Contains(said, intercept.UnitName) {
		t.Errorf("systemd says of it: %s", said)
	}
	said := run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", file)
	exposure := regexp.MustCompile(`exposure level for \S+: ([\d.]+)`).FindStringSubmatch(said)
	if exposure == nil {
		t.Fatalf("no level in\n%s", said)
	}
	// It needs root and two capabilities; services that need neither are at 1 to 2.
	if level, err := strconv.ParseFloat(exposure[1], 64); err != nil || level > 4 {
		t.Errorf("exposure %s (%v) in\n%s", exposure[1], err, said)
	}
	if got, ours := intercept.UnitArguments(unit); !ours || !slices.Equal(got, unitArguments) {
		t.Errorf("the unit's arguments are %v, %v", got, ours)
	}
}

// TestTheUnitComesAndGoes, by the real systemctl in a file system of its own.
func TestTheUnitComesAndGoes(t *testing.T) {
	hasSystemd(t, "systemctl")
	systemd := intercept.Systemd{Root: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(systemd.Root, "/etc/systemd/system"), 0o750); err != nil {
		t.Fatal(err)
	}
	wanted := filepath.Join(systemd.Root, "/etc/systemd/system/multi-user.target.wants", intercept.UnitName)
	is := func(want string) {
		t.Helper()
		got, err := systemd.Read()
		if err != nil || got != want {
			t.Errorf("the unit is %q, %v, not %q", got, err, want)
		}
		if _, err := os.Lstat(wanted); (err == nil) != (want != "") {
			t.Errorf("enabled: %v", err)
		}
	}
	units := map[string]string{}
	for _, port := range []string{"8080", "9090"} {
		unit, err := intercept.Unit("/usr/local/bin/heddle", []string{"--inbound-ports=" + port})
		if err != nil {
			t.Fatal(err)
		}
		units[port] = unit
	}
	keep := func(unit string) func() error {
		t.Helper()
		undo, err := systemd.Keep(t.Context(), unit)
		if err != nil {
			t.Fatal(err)
		}
		is(unit)
		return undo
	}
	if err := keep(units["8080"])(); err != nil { // the rules were refused
		t.Fatal(err)
	}
	is("")
	keep(units["8080"])
	if err := keep(units["9090"])(); err != nil {
		t.Fatal(err)
	}
	is(units["8080"])
	for range 2 {
		if err := systemd.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("")
	}
}

// TestTheUnitComesAfterWhoSetsUpTheNetwork: systemd-networkd takes rules of routing away
// that are not its own as it starts, which were those of TPROXY.
func TestTheUnitComesAfterWhoSetsUpTheNetwork(t *testing.T) {
	unit, err := intercept.Unit("/usr/local/bin/heddle", unitArguments)
	if err != nil {
		t.Fatal(err)
	}
	after := regexp.MustCompile(`(?m)^After=(.*)$`).FindStringSubmatch(unit)
	for _, one := range []string{"systemd-networkd.service", "NetworkManager.service", "networking.service", "firewalld.service"} {
		if after == nil || !slices.Contains(strings.Fields(after[1]), one) {
			t.Errorf("it is not after %s: %q", one, after)
		}
	}
}

func TestWhatSystemdWouldReadOtherwiseIsRefused(t *testing.T) {
	for _, word := range []string{"a b", "%i", "$HOME", `a"b`, "a;b", ""} {
		if unit, err := intercept.Unit("/usr/local/bin/heddle", []string{word}); err == nil {
			t.Errorf("%q is taken:\n%s", word, unit)
		}
	}
}
