package webhook

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// overHTTPS serves the webhook as the operator does, and gives a client at an address
// that speaks HTTP/2, all over one connection. end ends it, as the test's end does.
func overHTTPS(t *testing.T) (url string, at func(address string) *http.Client, end func() error) {
	t.Helper()
	issued := httptest.NewTLSServer(nil)
	issued.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server := NewServer(Handler(Config{Settings: settings}), &tls.Config{MinVersion: tls.VersionTLS12, Certificates: issued.TLS.Certificates}, log)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, server, listener) }()
	end = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	roots := issued.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return "https://" + listener.Addr().String() + ByNamespacePath, func(address string) *http.Client {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		transport := &http.Transport{DialContext: from.DialContext, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 20 * time.Second}
	}, end
}

func post(ctx context.Context, client *http.Client, url string, body io.Reader) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// Whoever sends slowly, on one connection or several, keeps nobody else waiting, and not
// even others behind the same address; and it ends.
func TestSlowBodiesStarveNobody(t *testing.T) {
	url, at, _ := overHTTPS(t)
	const calls = 200
	slow := at("127.0.0.2")
	var running, begun sync.WaitGroup
	for range calls {
		body, feed := io.Pipe()
		t.Cleanup(func() { feed.Close() })
		begun.Add(1)
		running.Go(func() {
			if status, err := post(t.Context(), slow, url, body); err != nil || status != http.StatusRequestTimeout {
				t.Errorf("a slow one: %d, %v", status, err)
			}
		})
		go func() {
			_, _ = feed.Write([]byte("{"))
			begun.Done()
		}()
	}
	begun.Wait() // all are on their way; a few may not be read yet
	for _, address := range []string{"127.0.0.3", "127.0.0.2"} {
		began := time.Now()
		if status, err := post(t.Context(), at(address), url, strings.NewReader(review(webPod, ""))); err != nil || status != http.StatusOK {
			t.Errorf("a review from %s beside slow ones: %d, %v", address, status, err)
		} else if took := time.Since(began); took > mostReading {
			t.Errorf("a review from %s took %s", address, took)
		}
	}
	running.Wait()
}

// Whoever sends much and does not end it is refused before others are.
func TestLargeBodiesStarveNobody(t *testing.T) {
	url, at, _ := overHTTPS(t)
	greedy := at("127.0.0.2")
	var running sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 2 * mostHeld / mostBody {
		body, feed := io.Pipe()
		running.Go(func() {
			defer feed.Close()
			_, _ = feed.Write([]byte(strings.Repeat(" ", mostBody-1)))
			<-t.Context().Done()
		})
		running.Go(func() {
			status, err := post(context.WithoutCancel(t.Context()), greedy, url, body)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && status == http.StatusServiceUnavailable {
				refused++
			}
			body.Close()
		})
	}
	other := at("127.0.0.3")
	for began := time.Now(); time.Since(began) < mostReading/2; {
		if status, err := post(t.Context(), other, url, strings.NewReader(review(webPod, ""))); err != nil || status != http.StatusOK {
			t.Fatalf("a review beside large ones: %d, %v", status, err)
		}
	}
	t.Cleanup(func() {
		running.Wait()
		if refused == 0 {
			t.Error("nothing of what one address sends without an end was refused")
		}
	})
}

func TestOneAddressMayHoldAWholeBody(t *testing.T) {
	if alone := mostHeld / (eachLeaves + 1); alone < mostBody+eachHolds {
		t.Errorf("one address may hold %d, and a body is up to %d", alone, mostBody)
	}
}
