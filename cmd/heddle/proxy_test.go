package main

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

func TestReadyFileIsReplacedAndRemoved(t *testing.T) {
	file := cli.ReadyFile{Path: filepath.Join(t.TempDir(), "ready"), Log: slog.New(slog.DiscardHandler)}
	file.Remove() // none is there yet
	status := proxy.Status{
		Instance: mesh.InstanceKey{Service: "orders", ID: "orders-1"},
		Admin:    netip.MustParseAddrPort("127.0.0.1:9901"), Inbound: netip.MustParseAddrPort("[::]:8080"), PID: 42,
	}
	for _, status.Epoch = range []string{"1", "2"} {
		if err := file.Write(readyFrom(status)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"service": "orders", "instance": "orders-1", "epoch": "2", "pid": 42.0,
		"admin": "127.0.0.1:9901", "inbound": "[::]:8080", "outbound": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	file.Remove()
	if left, err := os.ReadDir(filepath.Dir(file.Path)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOnlyTheSecondSignalHurries(t *testing.T) {
	hurry, forget := secondSignal()
	defer forget()
	for n := range 2 {
		select {
		case <-hurry:
			t.Fatalf("hurries after %d signals", n)
		default:
		}
		// Signals of one kind that wait to be delivered are one: so use two kinds.
		if err := syscall.Kill(os.Getpid(), []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}[n]); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-hurry:
	case <-time.After(10 * time.Second):
		t.Error("does not hurry after two signals")
	}
}
