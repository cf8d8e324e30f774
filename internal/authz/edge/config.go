package edge

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config is the file of --edge-config.
type Config struct {
	Providers []Provider `json:"providers"`
}

// Provider says who is behind requests; exactly one of its kinds is set.
type Provider struct {
	Name             string            `json:"name"` // what routes call it, and those who ask are told
	CloudflareAccess *CloudflareAccess `json:"cloudflareAccess,omitempty"`
	OIDC             *OIDC             `json:"oidc,omitempty"`
	Skew             mesh.Duration     `json:"skew,omitempty"`   // how far the issuer's clock may be from ours; default 60s
	CAFile           string            `json:"caFile,omitempty"` // PEM certificates that the issuer's is verified by; default: the machine's
}

// CloudflareAccess takes the tokens of a Cloudflare Access application.
type CloudflareAccess struct {
	Team      string   `json:"team"`                // acme of https://acme.cloudflareaccess.com
	Audiences []string `json:"audiences,omitempty"` // the tags (AUD) of the applications, for routes that name none
	CertsURL  string   `json:"certsURL,omitempty"`  // where the keys are; default: /cdn-cgi/access/certs of the team
}

// OIDC takes the tokens of an issuer that has an OpenID discovery document.
type OIDC struct {
	Issuer      string   `json:"issuer"`                // as its document and "iss" say it, letter for letter
	Audiences   []string `json:"audiences,omitempty"`   // for routes that name none
	Algorithms  []string `json:"algorithms,omitempty"`  // default RS256
	GroupsClaim string   `json:"groupsClaim,omitempty"` // default groups
}

const (
	defaultSkew  = time.Minute
	maxSkew      = 5 * time.Minute
	maxProviders = 100
)

// asymmetric are the algorithms that may be asked for: those whose public key
// cannot sign.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Read reads a configuration. Invalid: every fault of it.
func Read(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, &mesh.Error{Kind: mesh.KindInvalid, Message: "read what proves users at the edge", Err: err}
	}
	var c Config
	if err := mesh.Decode(data, &c); err != nil {
		return Config{}, fmt.Errorf("read what proves users at the edge: %s: %w", file, err)
	}
	return c, mesh.Invalid("what proves users at the edge: "+file, c.faults())
}

func (c Config) faults() mesh.Faults {
	var f mesh.Faults
	if len(c.Providers) == 0 || len(c.Providers) > maxProviders {
		f.Add("providers", "has %d: from 1 to %d", len(c.Providers), maxProviders)
	}
	seen := map[string]bool{}
	for i, one := range c.Providers {
		path := fmt.Sprintf("providers[%d]", i)
		if !label(one.Name) {
			f.Add(path+".name", "%.100q is not a DNS label: use at most 63 lower-case letters, digits and inner hyphens", one.Name)
		} else if seen[one.Name] {
			f.Add(path+".name", "%q is there twice", one.Name)
		}
		seen[one.Name] = true
		one.faults(path, &f)
	}
	return f
}

func (p Provider) faults(path string, f *mesh.Faults) {
	if p.Skew < 0 || p.Skew.Std() > maxSkew {
		f.Add(path+".skew", "is %s: at most %s", p.Skew, mesh.Duration(maxSkew))
	}
	if _, err := p.roots(); err != nil {
		f.Add(path+".caFile", "%s", err)
	}
	switch {
	case (p.CloudflareAccess == nil) == (p.OIDC == nil):
		f.Add(path, "has to have one of cloudflareAccess and oidc")
	case p.CloudflareAccess != nil:
		at, c := path+".cloudflareAccess", p.CloudflareAccess
		if !label(c.Team) {
			f.Add(at+".team", "%.100q is not a team: write acme for https://acme.cloudflareaccess.com", c.Team)
		}
		if c.CertsURL != "" {
			checkURL(at+".certsURL", c.CertsURL, f)
		}
		checkAudiences(at, c.Audiences, f)
	default:
		at, o := path+".oidc", p.OIDC
		checkURL(at+".issuer", o.Issuer, f)
		if strings.Contains(o.Issuer, "?") {
			f.Add(at+".issuer", "has a query; an issuer has none")
		}
		checkAudiences(at, o.Audiences, f)
		for i, name := range o.Algorithms {
			if !slices.Contains(asymmetric, jose.SignatureAlgorithm(name)) {
				f.Add(fmt.Sprintf("%s.algorithms[%d]", at, i), "%.40q is none of %v", name, asymmetric)
			}
		}
	}
}

func checkAudiences(path string, list []string, f *mesh.Faults) {
	for i, one := range list {
		if one == "" {
			f.Add(fmt.Sprintf("%s.audiences[%d]", path, i), "is empty")
		}
	}
}

func checkURL(path, raw string, f *mesh.Faults) {
	if err := urlFault(raw); err != nil {
		f.Add(path, "%s", err)
	}
}

// urlFault says why keys are not fetched from a URL, or nil.
func urlFault(raw string) error {
	switch u, err := url.Parse(raw); {
	case err != nil:
		return fmt.Errorf("%.200q is not a URL", raw)
	case u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%.200q is not an https URL, and what comes without TLS proves nothing", raw)
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("%.200q has a user or a fragment", u.Redacted())
	}
	return nil
}

// label says whether s is a DNS label.
func label(s string) bool {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	return s != "" && len(s) <= 63 && plain && s[0] != '-' && s[len(s)-1] != '-'
}

// roots are the authorities that the issuer's certificate is verified by; nil is
// those of the machine.
func (p Provider) roots() (*x509.CertPool, error) {
	if p.CAFile == "" {
		return nil, nil //nolint:nilnil // nil means the machine's, as in crypto/tls
	}
	data, err := os.ReadFile(p.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no PEM certificate", p.CAFile)
	}
	return pool, nil
}
