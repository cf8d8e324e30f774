package intercept_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

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
	if !alone(t) {
		return
	}
	folder := instead(t, "ip", "echo 'ip: unrecognized option: json\nBusyBox v1.36.1 multi-call binary.' >&2\nexit 1")
	for _, path := range []string{folder, folder + "/none"} {
		nft, err := exec.LookPath("nft")
		if err != nil {
			t.Fatal(err)
		}
		_ = os.MkdirAll(path, 0o700)
		if err := os.Symlink(nft, path+"/nft"); err != nil {
			t.Fatal(err)
		}
		usually := os.Getenv("PATH")
		t.Setenv("PATH", path)
		err = kernelBy(intercept.NFT).Install(t.Context(), transparent(usual()))
		if mesh.KindOf(err) != mesh.KindUnavailable || !strings.Contains(err.Error(), "iproute2") {
			t.Errorf("got %v", err)
		}
		if err := kernelBy(intercept.NFT).Install(t.Context(), usual()); err != nil {
			t.Errorf("redirect: %v", err)
		}
		if _, err := kernelBy(intercept.NFT).Show(t.Context(), usual()); err != nil && !strings.Contains(err.Error(), `"sh"`) {
			t.Errorf("show: %v", err)
		}
		if err := kernelBy(intercept.NFT).Remove(t.Context()); err != nil {
			t.Errorf("remove: %v", err)
		}
		t.Setenv("PATH", usually)
	}
}

// instead gives a folder with a program that does something else.
func instead(t *testing.T, name, script string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/"+name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return folder
}

// TestAnIPThatHangs held install and remove for ever.
func TestAnIPThatHangs(t *testing.T) {
	if !alone(t) {
		return
	}
	kernel := kernelBy(intercept.NFT)
	if err := kernel.Install(t.Context(), transparent(usual())); err != nil {
		t.Fatal(err)
	}
	real, path := must(exec.LookPath("ip")), os.Getenv("PATH")
	hangs := instead(t, "ip", "case \"$*\" in *' del '*) exec sleep 60;; esac\nexec "+real+" \"$@\"")
	t.Setenv("PATH", hangs+":"+path)
	kernel.Patience = 300 * time.Millisecond
	for name, do := range map[string]func() error{
		"remove":  func() error { return kernel.Remove(t.Context()) },
		"install": func() error { return kernel.Install(t.Context(), usual()) },
	} {
		began := time.Now()
		if err := do(); err == nil || !strings.Contains(err.Error(), "did not end in time") || time.Since(began) > 20*time.Second {
			t.Errorf("%s, after %s: %v", name, time.Since(began), err)
		}
	}
	t.Setenv("PATH", path)
	if err := kernelBy(intercept.NFT).Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}

// TestAutoAsksForWhatTheModeNeeds: nft that redirects and knows no TPROXY was taken for it.
func TestAutoAsksForWhatTheModeNeeds(t *testing.T) {
	if !alone(t) {
		return
	}
	real, path := must(exec.LookPath("nft")), os.Getenv("PATH")
	lacks := instead(t, "nft", "case \"$*\" in *'-f -'*) ;; *) exec "+real+" \"$@\";; esac\nrules=$(cat)\ncase $rules in *tproxy*) echo no tproxy here >&2; exit 1;; esac\necho \"$rules\" | "+real+" \"$@\"")
	t.Setenv("PATH", lacks+":"+path)
	for want, c := range map[string]intercept.Config{"iptables": transparent(usual()), "nft": usual()} {
		var said bytes.Buffer
		kernel := intercept.Kernel{Backend: intercept.Auto, Log: slog.New(slog.NewTextHandler(&said, nil))}
		if err := kernel.Install(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if state := shows(t, intercept.Auto, c); !state.AsMeant || !strings.HasPrefix(state.Present[0].Backend, want) {
			t.Errorf("not by %s: %+v", want, state)
		}
		if told := strings.Contains(said.String(), "no tproxy here"); told != (want == "iptables") {
			t.Errorf("by %s, told: %s", want, said.String())
		}
	}
}

// TestAPortThatTProxyLeavesOut had its callers wait for ever.
func TestAPortThatTProxyLeavesOut(t *testing.T) {
	if !alone(t) {
		return
	}
	if err := intercept.AnswersComeBack(t.Context(), 8081); err != nil {
		t.Errorf("without rules: %v", err)
	}
	if err := kernelBy(intercept.NFT).Install(t.Context(), transparent(usual())); err != nil {
		t.Fatal(err)
	}
	if err := intercept.AnswersComeBack(t.Context(), 8080); err != nil {
		t.Error(err)
	}
	if err := intercept.AnswersComeBack(t.Context(), 8081); err == nil || !strings.Contains(err.Error(), "--app-port 8081 is not one of the ports for which this machine's rules have TPROXY (8080)") {
		t.Errorf("got %v", err)
	}
}
