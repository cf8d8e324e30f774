package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

const (
	mostBody      = 64 << 10 // of an answer; one that is longer is not read to its end
	mostRedirects = 5
)

// httpProbe asks by GET for a URL, or for a path at the service's first TCP port. 200 to
// 299 is a success. Redirects are followed on the same host. Each probe is a connection
// of its own: one that is kept would tell nothing of whether new ones are taken.
func httpProbe(s hosts.Service, text string) (probe, error) {
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
	return func(ctx context.Context) error { return get(ctx, to.String()) }, nil
}

func get(ctx context.Context, target string) error {
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
			case next.URL.Hostname() != via[0].URL.Hostname():
				return errors.New("it redirects to another host")
			case len(via) > mostRedirects:
				return errors.New("it redirects without end")
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, mostBody)); err != nil {
		return fmt.Errorf("its answer breaks off: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}
