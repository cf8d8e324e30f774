package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
)

// requestTime bounds one request; none should come near it.
const requestTime = 10 * time.Second

// front is a place where requests come in: an app of web, which then makes its
// calls by its sidecar, or the gateway.
type front struct {
	id, service, address string
	scheme               string
	header               http.Header // of every request
	client               *http.Client
}

// reply is what came back, whoever answered.
type reply struct {
	status int
	reason string // of a sidecar or a gateway that refused
	body   string
}

func newFront(id, service, address string) *front {
	return &front{id: id, service: service, address: address, scheme: "http", client: &http.Client{
		Timeout:   requestTime,
		Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second},
	}}
}

// secure has requests go over TLS.
func (f *front) secure(config *tls.Config) {
	f.scheme = "https"
	f.client.Transport.(*http.Transport).TLSClientConfig = config
}

func (f *front) url(path string) string { return f.scheme + "://" + f.address + path }

// get makes a request; the error is only of what has no answer.
func (f *front) get(ctx context.Context, path string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url(path), nil)
	if err != nil {
		return reply{}, err
	}
	request.Host = f.service
	maps.Copy(request.Header, f.header)
	response, err := f.client.Do(request)
	if err != nil {
		return reply{}, fmt.Errorf("through %s: %w", f.id, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return reply{}, fmt.Errorf("through %s: read the answer: %w", f.id, err)
	}
	reason := cmp.Or(response.Header.Get(shop.ReasonHeader), response.Header.Get("X-Heddle-Reason"))
	return reply{response.StatusCode, reason, strings.TrimSpace(string(body))}, nil
}

// ask makes a request that an app is to answer.
func (f *front) ask(ctx context.Context, path string) (shop.Answer, error) {
	got, err := f.get(ctx, path)
	if err != nil {
		return shop.Answer{}, err
	}
	if got.status != http.StatusOK {
		return shop.Answer{}, fmt.Errorf("through %s: %s: %w", f.id, path, shop.Explain(got.status, []byte(got.body)))
	}
	var answer shop.Answer
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
		return shop.Answer{}, fmt.Errorf("through %s: %s: not the JSON of an app: %w", f.id, path, err)
	}
	return answer, nil
}

// Error makes an answer that was not wanted an error.
func (r reply) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.body) }

func (f *front) close() { f.client.CloseIdleConnections() }
