package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config says where the list is: exactly one of File and URL.
type Config struct {
	File      string         `yaml:"file"`      // a path
	URL       string         `yaml:"url"`       // http or https
	TokenFile string         `yaml:"tokenFile"` // for URL: a file with a bearer token, read at each request
	Tags      discovery.Tags `yaml:"tags"`      // the names of the tags that say what a machine runs
}

// Source lists what is in the inventory; a [discovery.Lister].
type Source struct {
	cfg    Config
	files  *reader
	client *http.Client
}

// New makes a source; client is for URL, nil for a default one. It follows redirects as the
// source does, whatever it does itself.
func New(cfg Config, client *http.Client) (*Source, error) {
	if (cfg.File == "") == (cfg.URL == "") {
		return nil, errors.New("inventory: give file or url, one of them")
	}
	if cfg.URL != "" {
		if err := cfg.checkURL(); err != nil {
			return nil, err
		}
	} else if cfg.TokenFile != "" {
		return nil, errors.New("inventory: tokenFile is for url")
	}
	if client == nil {
		client = &http.Client{Timeout: requestTime}
	}
	asking := *client
	asking.CheckRedirect = follow
	return &Source{cfg: cfg, files: newReader(), client: &asking}, nil
}

// scope is the only one: a list is read as a whole.
const scope = "inventory"

// List reads the inventory.
func (s *Source) List(ctx context.Context, rest discovery.Rest, _ discovery.Known) (discovery.Listing, error) {
	out := discovery.Listing{}
	if rest[scope] {
		out.Scopes = []discovery.Scope{{Name: scope, Rests: true}}
		return out, nil
	}
	vms, err := s.all(ctx, &out.Cost)
	out.Scopes = []discovery.Scope{{Name: scope, VMs: vms, Err: err}}
	return out, nil
}

func (s *Source) all(ctx context.Context, cost *discovery.Cost) ([]mesh.VM, error) {
	at := s.cfg.File
	var data []byte
	var err error
	if at != "" {
		data, err = s.files.read(ctx, at, mostBytes+1)
		if err != nil {
			return nil, fmt.Errorf("read the inventory: %w", err)
		}
	} else {
		at = "at " + s.at()
		data, err = s.fromURL(ctx, cost)
		if err != nil {
			return nil, err
		}
	}
	vms, err := s.read(data)
	if err != nil {
		return nil, fmt.Errorf("read the inventory %s: %w", at, err)
	}
	return vms, nil
}
