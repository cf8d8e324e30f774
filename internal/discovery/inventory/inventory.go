package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

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
	client *http.Client
}

// The bounds of a list and of asking for it.
const (
	mostBytes   = 64 << 20
	mostVMs     = 100_000
	requestTime = 30 * time.Second
)

// New makes a source; client is for URL, nil for a default one.
func New(cfg Config, client *http.Client) (*Source, error) {
	if (cfg.File == "") == (cfg.URL == "") {
		return nil, errors.New("inventory: give file or url, one of them")
	}
	if cfg.URL != "" {
		at, err := url.Parse(cfg.URL)
		switch {
		case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
			return nil, errors.New("inventory: url is not one of http or https")
		case cfg.TokenFile != "" && discovery.InClear(at):
			return nil, errors.New("inventory: tokenFile needs a url of https: over http the token could be read on the way")
		}
	} else if cfg.TokenFile != "" {
		return nil, errors.New("inventory: tokenFile is for url")
	}
	if client == nil {
		client = &http.Client{Timeout: requestTime}
	}
	return &Source{cfg: cfg, client: client}, nil
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
	var vms []mesh.VM
	var err error
	if s.cfg.File != "" {
		vms, err = s.fromFile()
	} else {
		vms, err = s.fromURL(ctx, &out.Cost)
	}
	out.Scopes = []discovery.Scope{{Name: scope, VMs: vms, Err: err}}
	return out, nil
}

func (s *Source) fromFile() ([]mesh.VM, error) {
	file, err := os.Open(s.cfg.File)
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	defer file.Close()
	vms, err := s.read(file)
	if err != nil {
		return nil, fmt.Errorf("read the inventory %s: %w", s.cfg.File, err)
	}
	return vms, nil
}

func (s *Source) fromURL(ctx context.Context, cost *discovery.Cost) ([]mesh.VM, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the inventory: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if s.cfg.TokenFile != "" {
		token, err := os.ReadFile(s.cfg.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("ask for the inventory: read its token: %w", err)
		}
		bearer := strings.TrimSpace(string(token))
		if bearer == "" {
			return nil, fmt.Errorf("ask for the inventory: its token %s is empty", s.cfg.TokenFile)
		}
		request.Header.Set("Authorization", "Bearer "+bearer)
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
		err := fmt.Errorf("ask for the inventory at %s: it was answered with %s", s.at(), answer.Status)
		throttled := answer.StatusCode == http.StatusTooManyRequests
		if throttled {
			cost.Throttled++
		}
		if after := discovery.RetryAfter(answer.Header); after > 0 || throttled {
			return nil, &discovery.Throttled{After: after, Err: err}
		}
		return nil, err
	}
	vms, err := s.read(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read the inventory at %s: %w", s.at(), err)
	}
	return vms, nil
}

// at is the address as everybody may see it: its user and query may be secret.
func (s *Source) at() string {
	at, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "its address"
	}
	return (&url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}).String()
}

// read takes a whole list. Fields that are not known are passed over: there may be more
// in it than the mesh needs.
func (s *Source) read(from io.Reader) ([]mesh.VM, error) {
	data, err := io.ReadAll(io.LimitReader(from, mostBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > mostBytes:
		return nil, fmt.Errorf("it has more than %d MiB", mostBytes>>20)
	}
	var list struct {
		VMs *[]mesh.VM `json:"vms"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("it is not JSON with a list vms: %w", err)
	}
	switch {
	case list.VMs == nil:
		return nil, errors.New(`it has no list "vms": an inventory without machines says so, with an empty one`)
	case len(*list.VMs) > mostVMs:
		return nil, fmt.Errorf("it has %d machines; at most %d are taken", len(*list.VMs), mostVMs)
	}
	return s.machines(*list.VMs)
}

func (s *Source) machines(vms []mesh.VM) ([]mesh.VM, error) {
	seen := make(map[string]int, len(vms))
	for i := range vms {
		vm := &vms[i]
		if vm.ID == "" {
			vm.ID = vm.Name
		}
		if vm.ID == "" {
			return nil, fmt.Errorf("vms[%d] has neither an id nor a name", i)
		}
		if first, twice := seen[vm.ID]; twice {
			return nil, fmt.Errorf("vms[%d] has the id %q of vms[%d]: give them ids of their own", i, vm.ID, first)
		}
		seen[vm.ID] = i
		if vm.State == "" {
			vm.State = mesh.VMRunning
		}
		vm.Meta, vm.Runs, vm.Faults = mesh.Meta{}, nil, nil
		s.cfg.Tags.Read(vm)
	}
	return vms, nil
}
