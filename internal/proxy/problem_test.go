package proxy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/heddle-mesh/heddle/internal/proxy"
)

// told keeps what a Runner tells of what is wrong.
type told struct {
	last atomic.Pointer[[]proxy.Problem]
}

// says waits until what is told last is one problem that says all of this; nothing: none.
func (w *told) says(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the problems to say %q", texts), func() error {
		list := w.last.Load()
		if list == nil {
			return errors.New("nothing was told")
		}
		if len(*list) != min(len(texts), 1) {
			return fmt.Errorf("problems: %+v", *list)
		}
		for _, text := range texts {
			if !strings.Contains((*list)[0].Message, text) {
				return fmt.Errorf("problems: %+v", *list)
			}
		}
		return nil
	})
}

// An Envoy that dies again and again, or cannot be started any more, is a problem until
// one serves.
func TestAnEnvoyThatDoesNotServeIsAProblem(t *testing.T) {
	t.Parallel()
	app := startApplication(t)
	config := newConfig(t, startControlPlane(t, 0, app.port), app.port)
	folder, real := t.TempDir(), config.Envoy
	broken := filepath.Join(folder, "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no such library >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	config.Envoy = filepath.Join(folder, "envoy")
	put := func(target string) {
		beside := filepath.Join(folder, "new")
		if err := errors.Join(os.Symlink(target, beside), os.Rename(beside, config.Envoy)); err != nil {
			t.Fatal(err)
		}
	}
	put(real)
	var wrong told
	lists := make(chan []proxy.Problem, 1000)
	config.Problems = func(list []proxy.Problem) { wrong.last.Store(&list); lists <- list }
	s := run(t, config)
	status := s.serving(t, 0)
	kill := func() {
		if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for len(lists) > 0 {
			<-lists
		}
		kill()
		if list := <-lists; len(list) != 1 || !strings.Contains(list[0].Message, "Envoy ended, or does not start") || !strings.Contains(list[0].Message, "signal: killed") {
			t.Errorf("killed: %+v", list)
		}
		status = s.serving(t, status.PID)
		wrong.says(t)
	}
	put(broken)
	kill()
	wrong.says(t, "is started by itself", "exit status 3", "no such library")
	put(filepath.Join(folder, "missing"))
	wrong.says(t, "start Envoy ("+config.Envoy+")", "no such file")
	put(real)
	status = s.serving(t, status.PID)
	wrong.says(t)
	if _, err := get(url(status.Inbound, "/")); err != nil {
		t.Error(err)
	}
}

func TestTroubleIsOneShortLine(t *testing.T) {
	p := proxy.Trouble("it ended", fmt.Errorf("its words:\na\nb\n"))
	if want := "it ended: its words: a; b"; p.Message != want {
		t.Errorf("%q", p.Message)
	}
	if p = proxy.Trouble("it ended", errors.New(strings.Repeat("ä", 5000))); len(p.Message) > 1010 || !strings.HasSuffix(p.Message, "ä…") {
		t.Errorf("%d bytes: %q", len(p.Message), p.Message[len(p.Message)-10:])
	}
}
