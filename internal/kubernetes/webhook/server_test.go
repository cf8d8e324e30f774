package webhook

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAPodThatOpensManyConnectionsStarvesNobody: those beyond its share are closed at
// once, the API server is answered on a connection that it has as on a new one, and the
// server ends in time, whoever holds connections.
func TestAPodThatOpensManyConnectionsStarvesNobody(t *testing.T) {
	const pod, apiServer = "127.0.0.2", "127.0.0.3"
	url, at, end := overHTTPS(t)
	reviewed := func(client *http.Client) error {
		status, err := post(t.Context(), client, url, strings.NewReader(review(webPod, "")))
		if err == nil && status != http.StatusOK {
			err = errors.New(http.StatusText(status))
		}
		return err
	}
	known := at(apiServer)
	if err := reviewed(known); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(url, "https://"), ByNamespacePath)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(pod)}}
	const share = mostConnections / (othersHave + 1)
	for n := range mostConnections {
		connection, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if n < share { // none of them says a word
			continue
		}
		_ = connection.SetReadDeadline(time.Now().Add(2 * time.Second)) // before those that stall are cut
		if _, err := connection.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of one address is kept", n+1)
		}
	}
	if err := reviewed(known); err != nil {
		t.Errorf("on a connection that was there: %v", err)
	}
	if err := reviewed(at(apiServer)); err != nil {
		t.Errorf("on a new connection: %v", err)
	}
	began := time.Now()
	if err := end(); err != nil || time.Since(began) > 2*mostEnding {
		t.Errorf("it ended after %s: %v", time.Since(began), err)
	}
}

// TestTheAPIServerMayBeginWithManyConnections: a client of HTTP/2 that has no connection
// yet opens one for each call, as when a controller makes hundreds of pods.
func TestTheAPIServerMayBeginWithManyConnections(t *testing.T) {
	const calls = 600 // --max-requests-inflight and --max-mutating-requests-inflight together
	url, at, _ := overHTTPS(t)
	apiServer := at("127.0.0.3")
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			if status, err := post(t.Context(), apiServer, url, strings.NewReader(review(webPod, ""))); err != nil || status != http.StatusOK {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
	running.Wait()
}
