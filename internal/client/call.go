package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// maxAnswer bounds what a call reads into memory.
const maxAnswer = 256 << 20

// request is one call: segments are escaped one by one and joined to the path.
type request struct {
	method   string
	segments []string
	query    url.Values
	body     any
	revision int64 // >0: If-Match
	create   bool  // If-None-Match: *
}

// do makes the call and decodes the answer into out, unless out is nil.
func (c *Client) do(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return err
	}
	response, err := c.send(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return mesh.Unavailable(err, "%s: the answer broke off", describe(req))
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("%s: the answer is larger than %d bytes", describe(req), maxAnswer)
	}
	if response.StatusCode/100 != 2 {
		err := refusal(req, response, data)
		if c.lost != nil && mesh.ReasonOf(err) == mesh.ReasonOtherSource {
			c.lost(err)
		}
		return err
	}
	if out == nil || response.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s: the answer is not what a Heddle server gives (is %s one?): %w", describe(req), c.base, err)
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	if slices.Contains(r.segments, "") { // it would name the list instead of one object
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "the name is empty: say which object is meant"}
	}
	target := c.base.JoinPath(escape(r.segments)...)
	target.RawQuery = r.query.Encode()
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: encode the body: %w", r.method, target.Path, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, target.Path, err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	token, err := c.tokens()
	if err == nil {
		err = plain(token)
	}
	if err != nil {
		return nil, mesh.Unavailable(err, "%s %s: there is no access token now", r.method, target.Path)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if r.revision > 0 {
		req.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(r.revision, 10)))
	}
	if r.create {
		req.Header.Set("If-None-Match", "*")
	}
	if c.keeper != "" && r.method != http.MethodGet {
		req.Header.Set("X-Heddle-Keeper", string(c.keeper))
		if c.source != "" {
			req.Header.Set("X-Heddle-Keeper-Source", c.source)
		}
	}
	if c.requestID != "" && r.method != http.MethodGet {
		req.Header.Set("Idempotency-Key", c.requestID)
	}
	return req, nil
}

// escape keeps a name from becoming more than its segment of the path.
func escape(segments []string) []string {
	out := make([]string, len(segments))
	for i, s := range segments {
		switch s {
		case ".", "..": // JoinPath would climb; no object has such a name, so the server will say so
			out[i] = "%2E" + s[1:]
		default:
			out[i] = url.PathEscape(s)
		}
	}
	return out
}

// send turns failures to reach the server into KindUnavailable.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	response, err := c.http.Do(req)
	switch {
	case err == nil && response.StatusCode/100 == 3:
		defer response.Body.Close()
		return nil, mesh.Unavailable(nil, "%s: what listens at %s sends its callers on to %q: name the server itself with --server or HEDDLE_SERVER",
			describe(req), c.base, response.Header.Get("Location"))
	case err == nil:
		return response, nil
	case errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("%s: %w", describe(req), context.Canceled)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, mesh.Unavailable(cause(err), "no Heddle server answers at %s: start one with \"heddle server\", or name the right address with --server or HEDDLE_SERVER", c.base)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, mesh.Unavailable(cause(err), "%s: the Heddle server at %s did not answer in time", describe(req), c.base)
	}
	if speaksHTTP2First(req.Context(), c.base) {
		return nil, mesh.Unavailable(nil, "what listens at %s is not a Heddle REST API: is it the xDS port? Name the server's --listen address, port 7080 unless told otherwise, with --server or HEDDLE_SERVER", c.base)
	}
	return nil, mesh.Unavailable(cause(err), "%s: the Heddle server at %s cannot be reached", describe(req), c.base)
}

// speaksHTTP2First says whether what listens there begins with an HTTP/2
// SETTINGS frame (RFC 9113, section 6.5), as a gRPC server does without being
// asked. net/http has several errors for it, none of them typed.
func speaksHTTP2First(ctx context.Context, base *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", base.Host)
	if err != nil {
		return false
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetReadDeadline(deadline)
	}
	var header [9]byte
	const settings = 4
	_, err = io.ReadFull(connection, header[:])
	return err == nil && header[3] == settings
}

// ReasonToken is why a call is denied whose token the server does not know: with
// another token it may be taken.
const ReasonToken mesh.Reason = "token"

// cause takes off the *url.Error, which repeats method and address.
func cause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func describe(req *http.Request) string { return req.Method + " " + req.URL.Path }

// problem is RFC 9457's document with Heddle's faults.
type problem struct {
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Reason mesh.Reason  `json:"reason"`
	Errors []mesh.Fault `json:"errors"`
}

// refusal makes the error out of an answer that is not a success.
func refusal(req *http.Request, response *http.Response, data []byte) error {
	var p problem
	if err := json.Unmarshal(data, &p); err != nil || p.Title == "" && p.Detail == "" {
		if response.StatusCode == http.StatusNotFound { // Heddle says what it is that it has not
			return mesh.Unavailable(nil, "what listens at %s is not a Heddle REST API: %s: it answered %s", req.URL.Host, describe(req), response.Status)
		}
		p = problem{Detail: fmt.Sprintf("%s: the server answered %s", describe(req), response.Status)}
	}
	message := p.Detail
	if message == "" {
		message = p.Title
	}
	kind := kindOf(response.StatusCode)
	if kind == "" {
		return fmt.Errorf("%s: %s (%s)", describe(req), message, response.Status)
	}
	if response.StatusCode == http.StatusUnauthorized {
		p.Reason = ReasonToken
	}
	return &mesh.Error{Kind: kind, Reason: p.Reason, Message: message, Faults: p.Errors}
}

func kindOf(status int) mesh.ErrorKind {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return mesh.KindInvalid
	case http.StatusNotFound:
		return mesh.KindNotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		return mesh.KindConflict
	case http.StatusUnauthorized, http.StatusForbidden:
		return mesh.KindDenied
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return mesh.KindUnavailable
	}
	return ""
}
