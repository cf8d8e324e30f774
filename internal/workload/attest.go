package workload

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Attestor says where somebody gives join tokens to workloads that a platform
// vouches for: in Kubernetes Heddle's operator, to which a pod shows the token of its
// service account.
type Attestor struct {
	URL       string // https://; without a path /attest is meant
	TokenFile string // holds the platform's token; read anew each time, for it is replaced
	CAFile    string // holds the certificates that the URL is verified by, as PEM; read anew each time
	CA        []byte // the same; without either the system's

	Identity mesh.Identity   // whose token is wanted: the workload's
	Instance mesh.InstanceID // which of its instances; an AuthZ service has none
}

const (
	attestTimeout = 10 * time.Second
	mostAnswer    = 64 << 10
)

// Validate reports every fault.
func (a Attestor) Validate() mesh.Faults {
	var f mesh.Faults
	if at, err := url.Parse(a.URL); err != nil || at.Scheme != "https" || at.Host == "" {
		f.Add("attestUrl", "%q is not a URL such as https://heddle-operator.heddle:8443", a.URL)
	}
	if a.TokenFile == "" {
		f.Add("attestTokenFile", "is missing: name the file that holds the platform's token")
	}
	return f
}

// JoinToken asks for one that only the holder of a key can use ([identity.KeyPin]). That it is refused is a KindDenied error with the words of
// whoever refused it; all else may mend itself, and is KindUnavailable.
func (a Attestor) JoinToken(ctx context.Context, key string) (string, error) {
	what := fmt.Sprintf("ask %s for a join token", a.URL)
	shown, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return "", mesh.Unavailable(err, "%s: read the platform's token (--attest-token-file)", what)
	}
	roots, err := a.roots()
	if err != nil {
		return "", mesh.Unavailable(err, "%s: read the certificates to verify it by (--attest-ca-file)", what)
	}
	ctx, cancel := context.WithTimeout(ctx, attestTimeout)
	defer cancel()
	asked := map[string]any{"key": key}
	switch a.Identity.Kind {
	case mesh.AuthzIdentity:
		asked["authz"] = true
	default:
		asked[string(a.Identity.Kind)], asked["instance"] = a.Identity.Name, a.Instance
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.target(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(shown)))
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for nobody else
	}
	response, err := client.Do(request)
	if err != nil {
		return "", mesh.Unavailable(err, "%s", what)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return "", mesh.Unavailable(err, "%s: read the answer", what)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return "", refusal(what, response, said)
	}
	var answer struct {
		JoinToken string `json:"joinToken"`
	}
	if err := json.Unmarshal(said, &answer); err != nil || answer.JoinToken == "" {
		return "", mesh.Unavailable(err, "%s: the answer holds none: is it Heddle's operator?", what)
	}
	return answer.JoinToken, nil
}

// refusal says why there is no token, in the words of the answer.
func refusal(what string, response *http.Response, said []byte) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	why := strings.TrimSpace(string(said))
	if json.Unmarshal(said, &problem) == nil && problem.Detail != "" {
		why = problem.Detail
	}
	message := fmt.Sprintf("%s: it answers %s: %.500q", what, response.Status, why)
	if code := response.StatusCode; code >= 400 && code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout {
		return mesh.Denied("%s", message)
	}
	return mesh.Unavailable(nil, "%s", message)
}

func (a Attestor) target() string {
	at, err := url.Parse(a.URL)
	if err != nil {
		return a.URL
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/attest"
	}
	return at.String()
}

// roots are nil for the system's.
func (a Attestor) roots() (*x509.CertPool, error) {
	data := a.CA
	if a.CAFile != "" {
		var err error
		if data, err = os.ReadFile(a.CAFile); err != nil {
			return nil, err
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil //nolint:nilnil // the system's
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("there is no certificate in PEM form")
	}
	return pool, nil
}
