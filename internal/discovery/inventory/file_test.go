package inventory

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAPipeIsNoInventory: opening one waits for who writes into it.
func TestAPipeIsNoInventory(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{File: pipe}, {URL: "http://127.0.0.1:1/", TokenFile: pipe}} {
		if _, _, err := list(t, cfg); err == nil || !strings.Contains(err.Error(), pipe+" is no regular file, but a named pipe") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestAFileThatHangsHoldsUpNobody: who holds a lease on a file has each that opens it wait,
// as a network drive does that is away. The server can end meanwhile, and what hangs is not
// opened again and again.
func TestAFileThatHangsHoldsUpNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.json")
	if err := os.WriteFile(path, []byte(`{"vms":[{"name":"a"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	holder, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, holder.Fd(), syscall.F_SETLEASE, syscall.F_WRLCK); errno != 0 {
		t.Skipf("the file system has no leases: %v", errno)
	}
	s, err := New(Config{File: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		listing, err := s.List(ctx, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return listing.Scopes[0].Err
	}
	began := time.Now()
	if err := ask(100 * time.Millisecond); err == nil || time.Since(began) > 5*time.Second {
		t.Fatalf("after %s: %v", time.Since(began), err)
	}
	if err := ask(time.Minute); err == nil || !strings.Contains(err.Error(), path+": a read before still hangs") {
		t.Errorf("while it hangs: %v", err)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		err := ask(time.Minute)
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "still hangs") || time.Now().After(end) {
			t.Fatalf("once it can be opened: %v", err)
		}
	}
}
