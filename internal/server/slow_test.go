package server_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/server"
)

// A client that announces a body and never sends it holds a connection for no
// longer than a body may take, whether or not anyone wants to read the body.
func TestBodiesThatNeverCome(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.BodyTimeout = 200 * time.Millisecond })
	for name, c := range map[string]struct{ head, want string }{
		"read":              {"POST /api/v1/services HTTP/1.1\r\nAuthorization: Bearer " + w.admin, "400"},
		"refused unread":    {"POST /api/v1/services HTTP/1.1", "401"},
		"of a GET":          {"GET /api/v1/services HTTP/1.1", "200"},
		"where nothing is":  {"POST /nothing HTTP/1.1", "404"},
		"for another host":  {"POST http://evil.example/ HTTP/1.1", "421"},
		"of a method alike": {"PATCH /api/v1/services HTTP/1.1", "405"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, c.head+"\r\nHost: 127.0.0.1\r\nContent-Length: 400\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // until the server closes it
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+c.want) {
			t.Errorf("%s: %v, answer %.60q", name, err, answer)
		}
		_ = conn.Close()
	}
}

// The deadline is the body's: a change stream, which has none, outlives it.
func TestAStreamOutlivesTheTimeOfABody(t *testing.T) {
	const limit = 50 * time.Millisecond
	w := newWorld(t, func(c *server.Config) { c.BodyTimeout = limit })
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	began := time.Now()
	if _, err := io.WriteString(conn, "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the time of a body is over", func() bool { return time.Since(began) > 3*limit })
	w.declare(orders)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"name":"orders"`) {
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}
