package health

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

const (
	mostBody      = 64 << 10 // of an answer; one that is longer is not read to its end
	mostRedirects = 5
)

// httpProbe asks by GET for a URL, or for a path at the service's first TCP port. 200 to
// 299 is a success. Redirects are followed on the same host, where the check may ask. Each
// probe is a connection of its own: one that is kept would tell nothing of whether new
// ones are taken.
func httpProbe(s hosts.Service, text string, may permit) (probe, error) {
	if text == "" || strings.HasPrefix(text, "/") {
		address, err := firstTCP(s)
		if err != nil {
			return nil, err
		}
		text = "http://" + address + text
	}
	to, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("what its check asks for is no URL")
	case to.Scheme != "http" && to.Scheme != "https", to.Host == "":
		return nil, errors.New("what its check asks for is neither http://HOST:PORT/PATH nor https://, nor a path")
	}
	if err := may(hostPort(to)); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return get(ctx, to.String(), may) }, nil
}

// hostPort is where a URL is asked for.
func hostPort(of *url.URL) string {
	port := "80"
	if of.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(of.Hostname(), cmp.Or(of.Port(), port))
}

// What is wrong with an answer, in words that are the host's own.
var (
	errElsewhere = errors.New("it redirects to another host")
	errEndless   = errors.New("it redirects without end")
	errNoHTTP    = errors.New("its answer is no HTTP")
)

func get(ctx context.Context, target string, may permit) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "heddle-check")
	client := http.Client{
		Transport: &http.Transport{
			Proxy: nil, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: mostBody,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it asks the host itself, by an address that certificates do not name
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			switch {
			case next.URL.Hostname() != via[0].URL.Hostname(), may(hostPort(next.URL)) != nil:
				return errElsewhere
			case len(via) > mostRedirects:
				return errEndless
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return toldOf(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, mostBody)); err != nil {
		return fmt.Errorf("its answer breaks off: %w", toldOf(err))
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("it answers %s", strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", http.StatusText(response.StatusCode))))
	}
	return nil
}

// toldOf gives an error that has no word of the answer in it: the fleet is told of it.
func toldOf(err error) error {
	var network net.Error // *url.Error is one, of whatever
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &network), errors.As(err, &record), errors.As(err, &alert):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, http.ErrSchemeMismatch):
	case errors.Is(err, errElsewhere), errors.Is(err, errEndless), errors.Is(err, syscall.ECONNRESET), strings.HasPrefix(err.Error(), "tls: "):
	default:
		return errNoHTTP
	}
	return err
}
