package intercept_test

import (
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	for _, program := range []string{"ip", "nft", "iptables-nft-save", "iptables-legacy-save"} {
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

var backends = []intercept.Backend{intercept.NFT, intercept.IPTablesNFT, intercept.IPTablesLegacy}

func kernelBy(backend intercept.Backend) intercept.Kernel {
	return intercept.Kernel{Backend: backend, Log: slog.New(slog.DiscardHandler)}
}

// everywhere is all that the kernel says of rules, without what counts packets.
func everywhere(t *testing.T) string {
	t.Helper()
	said := "nft\n" + run(t, "nft", "list", "ruleset") + "ip\n" + run(t, "ip", "rule") + run(t, "ip", "-6", "rule") + run(t, "ip", "route", "show", "table", "all") + run(t, "ip", "-6", "route", "show", "table", "all")
	for _, program := range []string{"iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"} {
		said += program + "\n"
		for line := range strings.Lines(run(t, program, "-t", "nat") + run(t, program, "-t", "mangle")) {
			if !strings.HasPrefix(line, "#") {
				said += counted.ReplaceAllString(line, "")
			}
		}
	}
	return said
}

var counted = regexp.MustCompile(`\[\d+:\d+\]|counter packets \d+ bytes \d+`)

func shows(t *testing.T, backend intercept.Backend, c intercept.Config) intercept.State {
	t.Helper()
	state, err := kernelBy(backend).Show(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// TestTheKernelTakesTheRules, both families, by each backend, as often as they are
// installed, and gives back what it had to the byte.
func TestTheKernelTakesTheRules(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, program := range []string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"} {
		for _, chain := range []string{"OUTPUT", "PREROUTING"} { // another's
			for _, table := range []string{"nat", "mangle"} {
				run(t, program, "-t", table, "-A", chain, "-p", "tcp", "--dport", "9", "-j", "RETURN")
			}
		}
	}
	before := everywhere(t)
	for _, backend := range backends {
		install := func(c intercept.Config) string {
			t.Helper()
			if err := kernelBy(backend).Install(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			return everywhere(t)
		}
		some := usual()
		some.OnlyUsers, some.OnlyGroups = []uint32{1000}, []uint32{50}
		for _, c := range []intercept.Config{everything(), transparent(everything()), some, transparent(usual()), usual()} {
			first := install(c)
			if diff := cmp.Diff(first, install(c)); diff != "" {
				t.Errorf("%s: installed again they are others:\n%s", backend, diff)
			}
			for _, by := range []intercept.Backend{backend, intercept.Auto} {
				if state := shows(t, by, c); !state.AsMeant || c.TProxy == nil && len(state.Present) != 1 || state.Present[0].Backend != string(backend) {
					t.Errorf("%s by %s: not as meant: %+v", backend, by, state)
				}
			}
		}
		if state := shows(t, intercept.Auto, everything()); state.AsMeant || !slices.ContainsFunc(state.Missing, func(line string) bool { return strings.Contains(line, "5432") }) || len(state.Extra) > 0 {
			t.Errorf("%s: what everything() excludes is not missing, or more is: %+v", backend, state)
		}
		for range 2 {
			if err := kernelBy(intercept.Auto).Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, everywhere(t)); diff != "" {
				t.Errorf("%s: left over, or another's taken away:\n%s", backend, diff)
			}
		}
		if state := shows(t, backend, usual()); state.AsMeant || len(state.Present) > 0 || len(state.Missing) == 0 {
			t.Errorf("%s: removed, and shown: %+v", backend, state)
		}
	}
}

// TestAnotherBackendTakesOver: rules of two would be in force else.
func TestAnotherBackendTakesOver(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, backend := range append(backends, backends[0]) {
		if err := kernelBy(backend).Install(t.Context(), usual()); err != nil {
			t.Fatal(err)
		}
		if state := shows(t, intercept.Auto, usual()); !state.AsMeant || state.Present[0].Backend != string(backend) {
			t.Errorf("%s: %+v", backend, state)
		}
	}
	if err := kernelBy(intercept.Auto).Install(t.Context(), usual()); err != nil {
		t.Fatal(err)
	}
	if state := shows(t, intercept.Auto, usual()); state.Present[0].Backend != string(intercept.NFT) {
		t.Errorf("nft works, and was not taken: %+v", state)
	}
}

// TestARuleIsTakenAway by somebody else: it is seen, and mended by installing again.
func TestARuleIsTakenAway(t *testing.T) {
	if !alone(t) {
		return
	}
	for backend, line := range map[intercept.Backend]string{
		intercept.NFT: "nft flush chain inet heddle inbound", intercept.IPTablesNFT: "iptables-nft -t nat -D OUTPUT -j HEDDLE_OUTPUT",
		intercept.IPTablesLegacy: "ip6tables-legacy -t nat -F HEDDLE_INBOUND",
	} {
		if err := kernelBy(backend).Install(t.Context(), usual()); err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(line)
		run(t, words[0], words[1:]...)
		if state := shows(t, intercept.Auto, usual()); state.AsMeant || len(state.Missing) != 1 || len(state.Extra) != 0 {
			t.Errorf("%s: %+v", backend, state)
		}
		if err := kernelBy(backend).Install(t.Context(), usual()); err != nil {
			t.Fatal(err)
		}
		if state := shows(t, intercept.Auto, usual()); !state.AsMeant {
			t.Errorf("%s, installed again: %+v", backend, state)
		}
	}
}

// TestAllOrNothing: where IPv6 cannot be redirected, or a rule is refused, what was is
// in force still.
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
	kernel := kernelBy(intercept.IPTablesNFT)
	refused := func() intercept.State {
		t.Helper()
		t.Setenv("PATH", folder+":"+path)
		if err := kernel.Install(t.Context(), everything()); err == nil || !strings.Contains(err.Error(), "ip6tables-nft-restore failed: no nat table") {
			t.Fatalf("got %v", err)
		}
		t.Setenv("PATH", path)
		return shows(t, intercept.Auto, usual())
	}
	if state := refused(); len(state.Present) > 0 {
		t.Errorf("left: %+v", state)
	}
	if err := kernel.Install(t.Context(), usual()); err != nil {
		t.Fatal(err)
	}
	if state := refused(); !state.AsMeant {
		t.Errorf("not as before: %+v", state)
	}
	// A rule that the kernel refuses: no user has this number.
	bad := everything()
	bad.ExcludeUsers = append(bad.ExcludeUsers, 1<<32-1)
	for _, backend := range backends[1:] {
		if err := kernelBy(backend).Install(t.Context(), bad); err == nil {
			t.Errorf("%s takes user %d", backend, bad.ExcludeUsers[1])
		}
		if state := shows(t, intercept.Auto, usual()); !state.AsMeant {
			t.Errorf("%s: not as before: %+v", backend, state)
		}
	}
	t.Setenv("PATH", folder+":"+path)
	kernel.NoIPv6 = true
	if err := kernel.Install(t.Context(), everything()); err != nil {
		t.Errorf("without IPv6: %v", err)
	}
}

// TestAFamilyThatIsLeftOut later was redirected on: its rules of the earlier run stayed.
func TestAFamilyThatIsLeftOut(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, backend := range backends {
		kernel := kernelBy(backend)
		if err := kernel.Install(t.Context(), everything()); err != nil {
			t.Fatal(err)
		}
		kernel.NoIPv6 = true
		if backend == intercept.IPTablesNFT { // what cannot be taken away leaves all as it was
			folder, path := t.TempDir(), os.Getenv("PATH")
			if err := os.WriteFile(folder+"/ip6tables-nft-restore", []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			t.Setenv("PATH", folder+":"+path)
			if err := kernel.Install(t.Context(), usual()); err == nil || !strings.Contains(err.Error(), "ip6tables-nft-restore failed") {
				t.Errorf("got %v", err)
			}
			t.Setenv("PATH", path)
			if state := shows(t, backend, everything()); !state.AsMeant {
				t.Errorf("not as before: %+v", state)
			}
		}
		if err := kernel.Install(t.Context(), usual()); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"ip6tables-nft-save", "ip6tables-legacy-save"} {
			if left := run(t, program, "-t", "nat"); strings.Contains(left, "HEDDLE") {
				t.Errorf("%s: IPv6 is redirected still:\n%s", backend, left)
			}
		}
		state, err := kernel.Show(t.Context(), usual())
		if err != nil || !state.AsMeant {
			t.Errorf("%s: not as meant (%v): %+v", backend, err, state)
		}
	}
}

// TestTablesOfOurOwnMaking were left by iptables on nftables, empty. One that was there,
// or that another has come to use, stays.
func TestTablesOfOurOwnMaking(t *testing.T) {
	if !alone(t) {
		return
	}
	kernel := kernelBy(intercept.IPTablesNFT)
	install := func(c intercept.Config) {
		t.Helper()
		if err := kernel.Install(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	left := func(want string) {
		t.Helper()
		if err := kernelBy(intercept.Auto).Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := run(t, "nft", "list", "ruleset"); counted.ReplaceAllString(got, "") != counted.ReplaceAllString(want, "") {
			t.Errorf("left:\n%s", cmp.Diff(want, got))
		}
	}
	install(transparent(usual()))
	install(usual())
	left("")
	bad := usual()
	bad.ExcludeUsers = []uint32{1<<32 - 1}
	if err := kernel.Install(t.Context(), bad); err == nil {
		t.Error("a user that nobody is was taken")
	}
	left("")
	install(transparent(usual()))
	run(t, "ip6tables-nft", "-t", "mangle", "-A", "INPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
	run(t, "nft", "add set ip nat another { type ipv4_addr; }")
	if err := kernelBy(intercept.Auto).Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "nft", "list", "tables"); got != "table ip nat\ntable ip6 mangle\n" {
		t.Errorf("another's is gone, or ours is there: %s", got)
	}
	run(t, "nft", "flush", "ruleset")
	for _, chain := range []string{"PREROUTING", "OUTPUT"} {
		run(t, "iptables-nft", "-t", "nat", "-A", chain, "-j", "ACCEPT")
		run(t, "iptables-nft", "-t", "nat", "-D", chain, "-j", "ACCEPT")
	}
	before := run(t, "nft", "list", "ruleset")
	install(usual())
	left(before)
}

// TestWithoutIP6Tables what there is of IPv4 is shown, and that IPv6 is not known; it
// failed as a whole.
func TestWithoutIP6Tables(t *testing.T) {
	if !alone(t) {
		return
	}
	kernel := kernelBy(intercept.IPTablesNFT)
	if err := kernel.Install(t.Context(), usual()); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range []string{"sh", "iptables", "iptables-nft-save", "iptables-nft-restore", "ip"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, folder+"/"+name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", folder)
	state := shows(t, intercept.Auto, usual())
	if len(state.Present) != 1 || len(state.Present[0].Rules) == 0 || len(state.Missing)+len(state.Extra) != 0 {
		t.Errorf("IPv4 is not shown: %+v", state)
	}
	if state.AsMeant || len(state.Unknown) != 1 || !strings.Contains(state.Unknown[0], "IPv6 of iptables-nft: ip6tables-nft-save is not here: install iptables") {
		t.Errorf("IPv6 is taken to be known: %+v", state)
	}
	kernel.NoIPv6 = true
	if state, err := kernel.Show(t.Context(), usual()); err != nil || !state.AsMeant {
		t.Errorf("IPv6 is to be left alone: %+v (%v)", state, err)
	}
	if err := kernelBy(intercept.Auto).Remove(t.Context()); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", path)
	if got := run(t, "iptables-nft-save", "-t", "nat"); strings.Contains(got, "HEDDLE") {
		t.Errorf("left of IPv4: %s", got)
	}
}

// TestWhoMayNot is told what is missing.
func TestWhoMayNot(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, backend := range []intercept.Backend{intercept.Auto, intercept.NFT, intercept.IPTables, intercept.IPTablesLegacy} {
		err := kernelBy(backend).Install(t.Context(), usual())
		if mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), "apt-get install") {
			t.Errorf("without programs, by %s: %v", backend, err)
		}
	}
	if err := kernelBy(intercept.Auto).Remove(t.Context()); err == nil {
		t.Error("without programs all rules are gone")
	}
}
