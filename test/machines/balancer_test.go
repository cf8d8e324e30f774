package machines_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// certificate puts what a certificate in PEM is of the Key Vault's secrets there.
func (m *azureMesh) certificate() {
	certificate, file := certify(m.t, shopHost)
	chain, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		m.t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(chain)
	m.client = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}, DialContext: throughBalancer,
	}}
	m.cloud.mu.Lock()
	defer m.cloud.mu.Unlock()
	m.cloud.secrets["edge-tls"] = stored{value: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})) + string(chain)}
}

// throughBalancer connects as the load balancer does: to the gateway's ports.
func throughBalancer(ctx context.Context, network, address string) (net.Conn, error) {
	ports := map[string]string{shopHost + ":80": ":8080", shopHost + ":443": ":8443"}
	return (&net.Dialer{}).DialContext(ctx, network, gatewayAddress+ports[address])
}

// ask asks the gateway.
func (m *azureMesh) ask(url string) (status int, header http.Header, body string, err error) {
	answer, err := m.client.Get(url) //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(text), err
}

// page asks for the shop's page.
func (m *azureMesh) page() (string, error) {
	status, _, body, err := m.ask("https://" + shopHost + "/")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %s", status, body)
	}
	return body, err
}

// ports sees that the load balancer's probe is answered, and plain HTTP sent to the port
// that clients know.
func (m *azureMesh) ports() {
	m.t.Helper()
	if status, _, body, err := m.ask("http://" + shopHost + "/.heddle/ready"); status != http.StatusOK {
		m.t.Errorf("the probe is answered %d: %s %v", status, body, err)
	}
	if status, header, _, err := m.ask("http://" + shopHost + "/x"); strings.Replace(header.Get("Location"), ":443/", "/", 1) != "https://"+shopHost+"/x" {
		m.t.Errorf("plain HTTP is answered %d, to %q: %v", status, header.Get("Location"), err)
	}
}

// answers asks until this machine answers.
func (m *azureMesh) answers(name string) {
	m.t.Helper()
	heddletest.Eventually(m.t, "an answer of "+name+" through the gateway", func() error {
		body, err := m.page()
		if err == nil && !strings.Contains(body, "open all day, on "+name) {
			err = fmt.Errorf("%q answers", body)
		}
		return err
	})
}

// load asks all the time, until it is asked what came of it: none may fail.
func (m *azureMesh) load() func() string {
	done, requests, failures := make(chan struct{}), 0, []string{}
	var worker sync.WaitGroup
	worker.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				requests++
				if _, err := m.page(); err != nil {
					failures = append(failures, err.Error())
				}
			}
		}
	})
	stop := sync.OnceFunc(func() { close(done); worker.Wait() })
	m.t.Cleanup(stop)
	return func() string {
		stop()
		if len(failures) > 0 || requests < 50 {
			m.t.Errorf("%d of %d requests failed: %q", len(failures), requests, failures[:min(3, len(failures))])
		}
		return fmt.Sprintf("%d requests, %d failed", requests, len(failures))
	}
}
