package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// What listens at the socket and is no D-Bus is given up.
func TestABusThatMakesNoSense(t *testing.T) {
	for name, says := range map[string]string{
		"silent": "", "garbage": "HTTP/1.1 400\r\n\r\n", "refuses": "REJECTED EXTERNAL\r\n", "half": "OK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\nl\x01\x00",
	} {
		path := filepath.Join(t.TempDir(), "bus")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			if says != "" {
				_, _ = connection.Write([]byte(says)) // it may have gone
			}
			_, _ = connection.Read(make([]byte, 1<<10))
			for err == nil { // until it gives up
				_, err = connection.Read(make([]byte, 1<<10))
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		began := time.Now()
		if b, err := dial(ctx, path); err == nil {
			b.Close()
			t.Errorf("%s: it is taken for a bus", name)
		} else if !strings.HasPrefix(err.Error(), "talk to systemd at "+path+": ") || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
		cancel()
		_ = listener.Close()
		<-done
	}
	if _, err := dial(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a socket: %v", err)
	}
}

// Only what concerns units that can be services leads to a look.
func TestSignalsThatAreForUs(t *testing.T) {
	const a, b, timer = units + "/a_40_31_2eservice", units + "/b_2esocket", units + "/a_2etimer"
	for _, c := range []struct {
		name string
		path dbus.ObjectPath
		body []any
		look bool
		anew string
	}{
		{manager + ".Manager.UnitNew", "", []any{"a@1.service", a}, true, "a"},
		{manager + ".Manager.UnitRemoved", "", []any{"b.socket", b}, true, "b"},
		{manager + ".Manager.UnitNew", "", []any{"a.timer", timer}, false, ""},
		{manager + ".Manager.UnitNew", "", []any{"a"}, false, ""},
		{manager + ".Manager.UnitNew", "", []any{1, 2}, false, ""},
		{manager + ".Manager.Reloading", "", []any{true}, false, ""},
		{manager + ".Manager.Reloading", "", []any{false}, true, "ab"},
		{manager + ".Manager.Reloading", "", nil, false, ""},
		{manager + ".Manager.JobNew", "", []any{false}, false, ""},
		{properties + ".PropertiesChanged", a, nil, true, ""},
		{properties + ".PropertiesChanged", timer, nil, false, ""},
		{"org.freedesktop.DBus.NameAcquired", "", []any{":1.1"}, false, ""},
	} {
		look, changed := heard(&dbus.Signal{Name: c.name, Path: c.path, Body: c.body})
		anew := ""
		for path, name := range map[dbus.ObjectPath]string{a: "a", b: "b"} {
			if changed(path) {
				anew += name
			}
		}
		if anew == "ba" {
			anew = "ab"
		}
		if look != c.look || anew != c.anew {
			t.Errorf("%s %v: look %v, anew %q", c.name, c.body, look, anew)
		}
	}
}
