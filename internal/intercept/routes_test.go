package intercept_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestATableOfAnothersRoutes is not taken, and told; what cannot be had leaves all as it was.
func TestATableOfAnothersRoutes(t *testing.T) {
	if !alone(t) {
		return
	}
	kernel, c := kernelBy(intercept.NFT), transparent(usual())
	refused := func(want string, c intercept.Config) {
		t.Helper()
		before := everywhere(t)
		if err := kernel.Install(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, not %q", err, want)
		}
		if diff := cmp.Diff(before, everywhere(t)); diff != "" {
			t.Errorf("not as it was:\n%s", diff)
		}
	}
	run(t, "ip", "-6", "route", "add", "local", "2001:db8::/32", "dev", "lo", "table", "133")
	refused("tproxyTable: 133 has another's route of IPv6 to 2001:db8::/32", c)
	run(t, "ip", "-6", "route", "flush", "table", "133")
	run(t, "ip", "rule", "add", "fwmark", "5", "lookup", "133")
	refused("tproxyTable: 133 has another's rule of IPv4", c)
	c.TProxy.Table = 134
	before := everywhere(t)
	if err := kernel.Install(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// A rule that the kernel refuses, with more ports and another table.
	bad := transparent(everything())
	bad.TProxy.Table, bad.ExcludeUsers = 135, []uint32{1<<32 - 1}
	kernel = kernelBy(intercept.IPTablesNFT)
	refused("restore", bad)
	run(t, "ip", "-6", "rule", "del", "priority", "133")
	state := shows(t, intercept.Auto, c)
	if want := []string{"IPv6 rule from ::1/128 iif lo ipproto tcp sport 8080 lookup 134"}; state.AsMeant || cmp.Diff(want, state.Missing) != "" {
		t.Errorf("a rule of routing is gone: %+v", state)
	}
	kernel = kernelBy(intercept.NFT)
	for range 2 {
		if err := kernel.Install(t.Context(), c); err != nil || !shows(t, intercept.Auto, c).AsMeant {
			t.Errorf("not mended: %v", err)
		}
	}
	if err := kernel.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, everywhere(t)); diff != "" {
		t.Errorf("left over, or another's taken away:\n%s", diff)
	}
}

func TestWithoutIPOnlyRedirectWorks(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := kernelBy(intercept.NFT).Install(t.Context(), transparent(usual()))
	if mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), "iproute2") {
		t.Errorf("got %v", err)
	}
}
