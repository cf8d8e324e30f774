package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/discovery"
)

// The bounds of asking an address.
const (
	requestTime   = 30 * time.Second
	mostRedirects = 10
	mostToken     = 64 << 10
)

// checkURL says what is wrong with the settings of an address.
func (c *Config) checkURL() error {
	at, err := url.Parse(c.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		return errors.New("inventory: url is not one of http or https")
	case c.TokenFile != "" && discovery.InClear(at):
		return errors.New("inventory: tokenFile needs a url of https: over http the token could be read on the way")
	}
	return nil
}

// follow is asked of each redirect: whoever answers must not have the server ask others,
// such as those that only hosts inside may ask.
func follow(request *http.Request, via []*http.Request) error {
	from, to := via[len(via)-1].URL, request.URL
	same := to.Scheme == from.Scheme && strings.EqualFold(to.Host, from.Host)
	raised := from.Scheme == "http" && to.Scheme == "https" && strings.EqualFold(to.Hostname(), from.Hostname())
	switch {
	case !same && !raised:
		return fmt.Errorf("it redirects to %s://%s, which is not followed: give that as url if it is meant", to.Scheme, to.Host)
	case len(via) >= mostRedirects:
		return fmt.Errorf("it redirects more than %d times", mostRedirects)
	}
	return nil
}

func (s *Source) fromURL(ctx context.Context, cost *discovery.Cost) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the inventory: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if err := s.authorize(ctx, request); err != nil {
		return nil, fmt.Errorf("ask for the inventory: %w", err)
	}
	cost.Calls++
	answer, err := s.client.Do(request)
	if err != nil {
		var failed *url.Error // which has all of the address, and so what may be secret in it
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("ask for the inventory at %s: %w", s.at(), err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, s.refused(answer, cost)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, mostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the inventory at %s: %w", s.at(), err)
	}
	return data, nil
}

// authorize adds the token, which is read each time.
func (s *Source) authorize(ctx context.Context, request *http.Request) error {
	if s.cfg.TokenFile == "" {
		return nil
	}
	token, err := s.files.read(ctx, s.cfg.TokenFile, mostToken)
	if err != nil {
		return fmt.Errorf("read its token: %w", err)
	}
	bearer := strings.TrimSpace(string(token))
	if bearer == "" {
		return fmt.Errorf("its token %s is empty", s.cfg.TokenFile)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	return nil
}

// refused is an answer with another status than 200.
func (s *Source) refused(answer *http.Response, cost *discovery.Cost) error {
	err := fmt.Errorf("ask for the inventory at %s: it was answered with %s", s.at(), answer.Status)
	throttled := answer.StatusCode == http.StatusTooManyRequests
	if throttled {
		cost.Throttled++
	}
	if after := discovery.RetryAfter(answer.Header); after > 0 || throttled {
		return &discovery.Throttled{After: after, Err: err}
	}
	return err
}

// at is the address as everybody may see it: its user and query may be secret.
func (s *Source) at() string {
	at, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "its address"
	}
	return (&url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}).String()
}
