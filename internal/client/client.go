package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// DefaultAddress is where a server listens unless told otherwise.
const DefaultAddress = "http://127.0.0.1:7080"

// Config has settings whose zero values work.
type Config struct {
	Address    string                                    // "http://host:port", "https://host:port" or "host:port"; default [DefaultAddress]
	Token      string                                    // the bearer token for writes; "" for reading only
	Tokens     func() (string, error)                    // the same, asked for each call: for one that is replaced meanwhile
	RootsFile  string                                    // PEM certificates that the server's is verified by, looked at for each call; default the system's
	Transport  func(http.RoundTripper) http.RoundTripper // wraps the transport of the default HTTPClient
	HTTPClient *http.Client                              // default: a client of its own
	UserAgent  string                                    // default "heddle"
	Timeout    time.Duration                             // of one call, Events aside; default 15 s
}

// Client calls one server.
type Client struct {
	base      *url.URL
	tokens    func() (string, error)
	http      *http.Client
	userAgent string
	timeout   time.Duration
	requestID string
	keeper    mesh.Keeper
	source    string      // that writes in the keeper's name
	lost      func(error) // is told that the keeper is another source's
}

// New makes a client; it does not connect yet.
func New(cfg Config) (*Client, error) {
	base, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	if err := plain(cfg.Token); err != nil {
		return nil, err
	}
	c := &Client{base: base, tokens: cfg.Tokens, http: cfg.HTTPClient, userAgent: cfg.UserAgent, timeout: cfg.Timeout}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 16
		var by http.RoundTripper = transport
		if cfg.RootsFile != "" {
			if by, err = newRooted(cfg.RootsFile, transport); err != nil {
				return nil, err
			}
		}
		// net/http would go where a redirect points, and make a GET of a write that
		// it was answered to: what reads like success would have changed nothing.
		c.http = &http.Client{Transport: by, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if cfg.HTTPClient == nil && cfg.Transport != nil {
		c.http.Transport = cfg.Transport(c.http.Transport)
	}
	if c.tokens == nil {
		c.tokens = func() (string, error) { return cfg.Token, nil }
	}
	if c.userAgent == "" {
		c.userAgent = "heddle"
	}
	if c.timeout == 0 {
		c.timeout = 15 * time.Second
	}
	return c, nil
}

// plain says what is wrong with a token that cannot be sent.
func plain(token string) error {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the token has characters that no token has, such as spaces: check how it was copied")
	}
	return nil
}

// WithRequestID gives a copy of c whose next write carries id. A write sent
// again with the same id and the same content changes nothing and gets the
// first answer; with other content it is refused as a conflict. Use one id for
// one write.
func (c *Client) WithRequestID(id string) *Client {
	with := *c
	with.requestID = id
	return &with
}

// KeptBy gives a copy of c that writes as a keeper: the services, routes and
// instances that it writes are changed by nobody else from then on, and what others
// have it is refused, with [mesh.ReasonTaken]. The token has to be that keeper's, or
// an admin's.
func (c *Client) KeptBy(keeper mesh.Keeper) *Client {
	with := *c
	with.keeper = keeper
	return &with
}

// OfSource gives a copy of c that writes in a keeper's name only as long as that is the
// source's ([Client.NoteKeeper]). A write that is refused because it is another's, with
// [mesh.ReasonOtherSource], is told to lost as well, which must not block.
func (c *Client) OfSource(source string, lost func(error)) *Client {
	with := *c
	with.source, with.lost = source, lost
	return &with
}

// Address is the server's URL.
func (c *Client) Address() string { return c.base.String() }

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func parseAddress(address string) (*url.URL, error) {
	if address == "" {
		address = DefaultAddress
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(strings.TrimRight(address, "/"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the server's address %q is not a URL: use one such as %s", address, DefaultAddress)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("the server's address %q has to begin with http:// or https://", address)
	case base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("the server's address %q has to be a scheme, a host and a port, such as %s", address, DefaultAddress)
	}
	return base, nil
}
