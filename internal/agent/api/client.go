package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Client asks an agent. Make it with [NewClient].
type Client struct {
	base    *url.URL
	token   string
	http    *http.Client
	silence time.Duration // of a stream that lives no more
}

// NewClient makes one for an agent's address, such as http://127.0.0.1:7777; token is
// needed for writes alone.
func NewClient(address, token string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("the agent's address %q is not of the form http://HOST:PORT", address)}
	}
	return &Client{base: base, token: token, silence: 3 * heartbeat, http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

const (
	askTime   = 10 * time.Second
	maxAnswer = 256 << 20 // bytes: a fleet of thousands of hosts has some
)

// Fleet gives the fleet as the agent sees it now.
func (c *Client) Fleet(ctx context.Context) (*Fleet, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := c.ask(ctx, http.MethodGet, "api", "v1", "fleet")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var fleet Fleet
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&fleet); err != nil {
		return nil, c.strange(err)
	}
	return &fleet, nil
}

// Watch hands over the fleet as it is and after each change, until ctx ends or see fails.
// It comes back by itself when the agent was away, but for the first time.
func (c *Client) Watch(ctx context.Context, see func(*Fleet) error) error {
	ever, wait := false, time.Duration(0)
	for {
		came, err := c.watch(ctx, see)
		var seen *seenError
		switch ever = ever || came; {
		case errors.As(err, &seen):
			return seen.error
		case ctx.Err() != nil:
			return ctx.Err()
		case !ever || mesh.KindOf(err) != mesh.KindUnavailable:
			return err
		}
		wait = min(max(2*wait, 250*time.Millisecond), 5*time.Second)
		if came {
			wait = 250 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// seenError is of the reader, not of the stream.
type seenError struct{ error }

func (c *Client) watch(ctx context.Context, see func(*Fleet) error) (came bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(c.silence, cancel) // where packets go nowhere, nothing says so
	defer silent.Stop()
	answer, err := c.ask(ctx, http.MethodGet, "api", "v1", "watch")
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return came, mesh.Unavailable(err, "the stream of the agent at %s broke off", c.base.Host)
		}
		silent.Reset(c.silence)
		data, isData := bytes.CutPrefix(line, []byte("data: "))
		if !isData {
			continue
		}
		var fleet Fleet
		if err := json.Unmarshal(data, &fleet); err != nil {
			return came, c.strange(err)
		}
		came = true
		if err := see(&fleet); err != nil {
			return came, &seenError{err}
		}
	}
}

// Drain has the copies with an ID on the agent's host get no new requests, or, when undo
// is set, get them again. It gives what the agent says of it.
func (c *Client) Drain(ctx context.Context, id string, undo bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	method := http.MethodPost
	if undo {
		method = http.MethodDelete
	}
	answer, err := c.ask(ctx, method, "api", "services", id, "drain")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var said Message
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxBody)).Decode(&said); err != nil {
		return "", c.strange(err)
	}
	return said.Message, nil
}

// ask sends a request; each part of its path is escaped.
func (c *Client) ask(ctx context.Context, method string, path ...string) (*http.Response, error) {
	for i, part := range path {
		path[i] = url.PathEscape(part)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path...).String(), nil)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, mesh.Unavailable(err, "the agent at %s does not answer: is it running, and is its API there? Where it listens its --api says (port 7777 at a --proxy-address on loopback); ask there by --agent URL or HEDDLE_AGENT", c.base.Host)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody)) // the status says enough
	var refused struct{ Message string }
	if json.Unmarshal(body, &refused) != nil || refused.Message == "" {
		refused.Message = fmt.Sprintf("the agent at %s answers %s: is it one", c.base.Host, answer.Status)
	}
	kind := mesh.KindInvalid
	switch answer.StatusCode {
	case http.StatusNotFound:
		kind = mesh.KindNotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMisdirectedRequest:
		kind = mesh.KindDenied
	case http.StatusServiceUnavailable:
		kind = mesh.KindUnavailable
	}
	return nil, &mesh.Error{Kind: kind, Message: refused.Message}
}

func (c *Client) strange(err error) error {
	return mesh.Unavailable(err, "the answer of the agent at %s is not understood", c.base.Host)
}
