package cli

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A second process on the ports of a first must not take away the first one's ready file.
func TestWhoeverGetsNoPortLeavesTheReadyFileAlone(t *testing.T) {
	file := ReadyFile{Path: filepath.Join(t.TempDir(), "ready"), Log: slog.New(slog.DiscardHandler)}
	var free, taken, first net.Listener
	release, err := file.Claim(t.Context(), Port{Listener: &first, Flag: "--first", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := file.Write("the first"); err != nil {
		t.Fatal(err)
	}
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	_ = reserved.Close()
	_, err = file.Claim(t.Context(), Port{Listener: &free, Flag: "--free", Address: address}, Port{Listener: &taken, Flag: "--taken", Address: first.Addr().String()})
	if err == nil {
		t.Fatal("two have one port")
	}
	if _, err := os.Stat(file.Path); err != nil {
		t.Errorf("the ready file of the first: %v", err)
	}
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the port that could be taken is not given back: %v", err)
	}
	_ = again.Close()
	release()
	if _, err := os.Stat(file.Path); err == nil {
		t.Error("the ready file outlives its process")
	}
}

// Go takes an empty address for any port on all addresses.
func TestAnEmptyAddressIsRefused(t *testing.T) {
	var listener net.Listener
	_, err := ReadyFile{}.Claim(t.Context(), Port{Listener: &listener, Flag: "--http-listen", Address: ""})
	var usage *UsageError
	if !errors.As(err, &usage) {
		t.Errorf("got %v", err)
	}
}
