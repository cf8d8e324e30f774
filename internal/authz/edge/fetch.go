package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	// fetchTime bounds all that one fetch of keys does.
	fetchTime = 5 * time.Second
	// maxDocument bounds what is read of a document, in bytes. Cloudflare's key
	// set has about 10,000.
	maxDocument = 256 << 10
)

// newClient makes a client for documents of an issuer. It follows no redirect and
// uses no proxy. Connections are not kept: a document is fetched once in minutes.
func newClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: fetchTime, Control: refuseLinkLocal}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// refuseLinkLocal keeps an issuer's document from sending us to the metadata
// service of a cloud, whatever name it uses for it.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return fmt.Errorf("%s is a link-local or multicast address, where no issuer is", ip)
	}
	return nil
}

// get fetches a document. What its content type says is not looked at: it has to
// be what is expected.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "heddle")
	response, err := client.Do(request)
	if err != nil {
		return nil, err // names the URL
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		if response.StatusCode/100 == 3 {
			return nil, fmt.Errorf("get %s: it redirects (%d), which is not followed", url, response.StatusCode)
		}
		return nil, fmt.Errorf("get %s: it answers %d", url, response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("get %s: it has more than %d bytes", url, maxDocument)
	}
	return data, nil
}
