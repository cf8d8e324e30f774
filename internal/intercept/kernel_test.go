package intercept_test

import (
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inside says that this process runs in a network namespace of its own.
const inside = "HEDDLE_TEST_INTERCEPT_INSIDE"

// alone runs the calling test again in a network namespace of its own, which ends
// with it, and says whether this is that run.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	for _, program := range []string{"ip", "iptables-nft-save", "iptables-legacy-save"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not on this machine: %v", err)
		}
	}
	if err := exec.Command("unshare", "--net", "true").Run(); err != nil {
		t.Skipf("this machine makes no network namespaces: %v", err)
	}
	command := exec.Command("unshare", "--net", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), inside+"=1")
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Fatalf("inside: %v", err)
	}
	return false
}

func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	output, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, arguments, err, output)
	}
	return string(output)
}

// table is the nat table without what counts packets, and without comments.
func table(t *testing.T, program string) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(run(t, program, "-t", "nat")) {
		if strings.HasPrefix(line, "-A ") || strings.HasPrefix(line, ":HEDDLE") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// TestTheKernelTakesTheRules, both families, by both kinds of iptables, as often as
// they are applied, and gives them back.
func TestTheKernelTakesTheRules(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, kind := range []intercept.Kind{intercept.NFTables, intercept.Legacy} {
		v4, v6 := "iptables-"+string(kind), "ip6tables-"+string(kind)
		kernel := intercept.Kernel{Kind: kind, Log: slog.New(slog.DiscardHandler)}
		run(t, v4, "-t", "nat", "-A", "OUTPUT", "-d", "192.0.2.1", "-j", "RETURN") // another's
		apply := func(c intercept.Config) string {
			t.Helper()
			if err := kernel.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			return table(t, v4+"-save") + table(t, v6+"-save")
		}
		first := apply(everything())
		if first != apply(everything()) {
			t.Errorf("%s: applied again they are others", kind)
		}
		for _, want := range []string{"-d 192.0.2.1/32", "--uid-owner 101 -j RETURN", "-d 10.1.0.0/16 -j RETURN", "-d 2001:db8::/32 -j RETURN", "-d ::1/128", "-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -j HEDDLE_INBOUND"} {
			if !strings.Contains(first, want) {
				t.Errorf("%s: %q is missing in\n%s", kind, want, first)
			}
		}
		if less := apply(usual()); strings.Contains(less, "5432") || strings.Count(less, "-j HEDDLE_OUTPUT") != 2 {
			t.Errorf("%s: what an earlier run excluded is excluded still, or one rule is there twice:\n%s", kind, less)
		}
		for range 2 {
			if err := kernel.Undo(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if left := table(t, v4+"-save") + table(t, v6+"-save"); strings.Contains(left, "HEDDLE") || !strings.Contains(left, "192.0.2.1") {
			t.Errorf("%s: left over, or another's taken away:\n%s", kind, left)
		}
		run(t, v4, "-t", "nat", "-F", "OUTPUT")
	}
}

// TestAllOrNothing: where IPv6 cannot be redirected, IPv4 is as before.
func TestAllOrNothing(t *testing.T) {
	if !alone(t) {
		return
	}
	folder := t.TempDir()
	refusing := "#!/bin/sh\ncase $0 in *save) exit 0;; esac\necho 'no nat table' >&2\nexit 1\n"
	for _, name := range []string{"ip6tables-nft-save", "ip6tables-nft-restore"} {
		if err := os.WriteFile(folder+"/"+name, []byte(refusing), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	path := os.Getenv("PATH")
	kernel := intercept.Kernel{Kind: intercept.NFTables, Log: slog.New(slog.DiscardHandler)}
	refused := func() string {
		t.Helper()
		t.Setenv("PATH", folder+":"+path)
		if err := kernel.Apply(t.Context(), everything()); err == nil || !strings.Contains(err.Error(), "ip6tables-nft-restore failed: no nat table") {
			t.Fatalf("got %v", err)
		}
		t.Setenv("PATH", path)
		return table(t, "iptables-nft-save")
	}
	if left := refused(); left != "" {
		t.Errorf("left:\n%s", left)
	}
	if err := kernel.Apply(t.Context(), usual()); err != nil {
		t.Fatal(err)
	}
	before := table(t, "iptables-nft-save")
	if after := refused(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	t.Setenv("PATH", folder+":"+path)
	kernel.NoIPv6 = true
	if err := kernel.Apply(t.Context(), everything()); err != nil {
		t.Errorf("without IPv6: %v", err)
	}
}

// TestWhoMayNot is told what is missing.
func TestWhoMayNot(t *testing.T) {
	kernel := intercept.Kernel{Log: slog.New(slog.DiscardHandler)}
	t.Setenv("PATH", t.TempDir())
	err := kernel.Apply(t.Context(), usual())
	if mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), "install iptables") {
		t.Errorf("without iptables: %v", err)
	}
}
