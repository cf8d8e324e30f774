package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxBody bounds what is read of an answer, in bytes.
const maxBody = 1 << 20

// caller makes HTTP calls by way of a sidecar: the URL names the service, and
// the connection goes to the sidecar whatever the name is.
type caller struct{ client *http.Client }

func newCaller(sidecar string) *caller {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &caller{client: &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, sidecar)
			},
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
		},
	}}
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// reply is a raw answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// get calls a service and gives what came back, whatever its status is.
func (c *caller) get(ctx context.Context, service, path string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+service+path, nil)
	if err != nil {
		return reply{}, fmt.Errorf("call %s: %w", service, err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return reply{}, fmt.Errorf("call %s: %w", service, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return reply{}, fmt.Errorf("call %s: read its answer: %w", service, err)
	}
	return reply{response.StatusCode, response.Header, body}, nil
}

// ask calls a service that gives an [Answer].
func (c *caller) ask(ctx context.Context, service, path string) (Answer, error) {
	got, err := c.get(ctx, service, path)
	if err != nil {
		return Answer{}, err
	}
	if got.status != http.StatusOK {
		return Answer{}, fmt.Errorf("call %s: %w", service, Explain(got.status, got.body))
	}
	var answer Answer
	if err := json.Unmarshal(got.body, &answer); err != nil {
		return Answer{}, fmt.Errorf("call %s: its answer is not the JSON expected: %w", service, err)
	}
	if answer.Service == "" {
		return Answer{}, errors.New("call " + service + ": its answer names no service")
	}
	return answer, nil
}
