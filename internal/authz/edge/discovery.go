package edge

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses an object that has a key twice
)

// issuer is where an issuer's keys are.
type issuer struct {
	certs     string // URL of the key set; "": the OpenID document says
	name      string // "iss"
	allowed   []jose.SignatureAlgorithm
	client    *http.Client
	discovery string // URL of the OpenID document
}

// fetch gets the issuer's keys as they are now.
func (i *issuer) fetch(ctx context.Context) (keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	certs := i.certs
	if certs == "" {
		data, err := get(ctx, i.client, i.discovery)
		if err != nil {
			return nil, err
		}
		if certs, err = readDiscovery(data, i.name); err != nil {
			return nil, fmt.Errorf("the OpenID document %s: %w", i.discovery, err)
		}
	}
	data, err := get(ctx, i.client, certs)
	if err != nil {
		return nil, err
	}
	set, err := readKeySet(data, i.allowed)
	if err != nil {
		return nil, fmt.Errorf("the key set %s: %w", certs, err)
	}
	return set, nil
}

// discoveryURL is where an issuer's document is (OpenID Connect Discovery 1.0,
// section 4).
func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// readDiscovery gives the URL of the key set. The document has to name the issuer
// that it was asked of (section 4.3).
func readDiscovery(data []byte, issuer string) (string, error) {
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("is not one: %w", err)
	}
	if document.Issuer != issuer {
		return "", fmt.Errorf("is of the issuer %.200q, not of %q", document.Issuer, issuer)
	}
	if err := urlFault(document.Keys); err != nil {
		return "", fmt.Errorf("jwks_uri %w", err)
	}
	return document.Keys, nil
}
