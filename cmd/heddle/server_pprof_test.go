package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

func TestProfilesAreServedOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "localhost:0", ":0", "10.0.0.1:0", "127.0.0.1"} {
		if stop, err := serveProfiles(t.Context(), address); err == nil {
			stop()
			t.Errorf("%s was taken", address)
		}
	}
}

func TestProfilesCanBeRead(t *testing.T) {
	reserved, err := cli.Listen(t.Context(), "test", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	_ = reserved.Close()
	stop, err := serveProfiles(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	response, err := http.Get("http://" + address + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasPrefix(string(body), "goroutine profile") {
		t.Errorf("%v, %.100q", err, body)
	}
	http.DefaultClient.CloseIdleConnections()
}
