package stage

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func testLauncher(t *testing.T) (Launcher, chan *Process) {
	t.Helper()
	died := make(chan *Process, 1)
	return Launcher{Mark: "test-" + filepath.Base(t.TempDir()) + t.Name(), Folder: t.TempDir(), Died: died}, died
}

// shell runs a small script as a child, which is gone when the test ends.
func shell(t *testing.T, l Launcher, script string) *Process {
	t.Helper()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	p, err := l.Start("child", path, "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestStopLetsAChildEndByItself(t *testing.T) {
	l, died := testLauncher(t)
	ready := filepath.Join(l.Folder, "ready")
	p := shell(t, l, "trap 'echo bye; exit 0' TERM; echo '{}' > "+ready+"; while :; do sleep 0.05; done")
	if err := p.AwaitFile(t.Context(), ready, 10*time.Second, func([]byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if !p.Stop(10*time.Second, nil) {
		t.Error("it was killed")
	}
	if last := LastLines(p.LogPath, 1); last != "bye" {
		t.Errorf("its log ends with %q", last)
	}
	if len(died) != 0 {
		t.Error("a child that was stopped is said to have died")
	}
}

func TestStopKillsAChildThatDoesNotListenAndAllItStarted(t *testing.T) {
	l, _ := testLauncher(t)
	ready := filepath.Join(l.Folder, "ready")
	p := shell(t, l, "trap '' TERM; sleep 300 & echo $! > "+ready+"; while :; do sleep 0.05; done")
	if err := p.AwaitFile(t.Context(), ready, 10*time.Second, func(data []byte) error {
		if !strings.HasSuffix(string(data), "\n") {
			return errors.New("not whole yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(Leftovers(l.EnvironmentMark())) == 0 {
		t.Error("leftovers does not see the child while it runs")
	}
	if p.Stop(50*time.Millisecond, nil) {
		t.Error("it is said to have gone by itself")
	}
	if err := Poll(t.Context(), 10*time.Second, "nothing to be left", func(context.Context) error {
		if left := Leftovers(l.EnvironmentMark()); len(left) > 0 {
			return errors.New("still there")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestHurryEndsAChildThatTakesItsTime(t *testing.T) {
	l, _ := testLauncher(t)
	p := shell(t, l, "trap '' TERM; while :; do sleep 0.05; done")
	now := make(chan struct{})
	close(now)
	if p.Stop(time.Hour, now) {
		t.Error("it is said to have gone by itself")
	}
}

func TestAChildThatDiesIsToldWithItsLastWords(t *testing.T) {
	l, died := testLauncher(t)
	p := shell(t, l, "echo the port is taken >&2; exit 3")
	err := p.AwaitFile(t.Context(), filepath.Join(l.Folder, "never"), 10*time.Second, func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("got %v", err)
	}
	if got := <-died; got != p {
		t.Errorf("%v died", got)
	}
}

func TestAMachineThatIsOutOfInotifyInstancesIsNamed(t *testing.T) {
	l, _ := testLauncher(t)
	p := shell(t, l, "echo 'assert failure: inotify_fd_ >= 0. Details: Consider increasing value of fs.inotify.max_user_instances'; for i in $(seq 30); do echo stack; done; exit 1")
	<-p.exited
	if err := p.Ended(); err == nil || !strings.Contains(err.Error(), "sysctl") {
		t.Errorf("got %v", err)
	}
}

func TestChildrenDoNotGetTheUsersOwnSettings(t *testing.T) {
	l, _ := testLauncher(t)
	t.Setenv("HEDDLE_TOKEN", "of another mesh")
	t.Setenv("KEPT", "yes")
	got := strings.Join(l.Environment(os.Environ()), "\n")
	if strings.Contains(got, "HEDDLE_TOKEN") || !strings.Contains(got, "KEPT=yes") || !strings.Contains(got, marker+"="+l.Mark) {
		t.Errorf("got %s", got)
	}
}

func TestAFileThatIsNotWholeYetIsReadAgain(t *testing.T) {
	l, _ := testLauncher(t)
	ready := filepath.Join(l.Folder, "ready")
	p := shell(t, l, `printf '{"rest":' > `+ready+`; sleep 0.1; printf '"x"}' >> `+ready+`; sleep 300`)
	var got struct{ Rest string }
	if err := p.AwaitFile(t.Context(), ready, 10*time.Second, func(data []byte) error { return json.Unmarshal(data, &got) }); err != nil || got.Rest != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEndedSaysNothingOfALivingChild(t *testing.T) {
	l, _ := testLauncher(t)
	p := shell(t, l, "sleep 300")
	if err := p.Ended(); err != nil {
		t.Error(err)
	}
	p.Kill()
	if err := syscall.Kill(p.PID, 0); err == nil {
		t.Error("it lives after kill")
	}
}
