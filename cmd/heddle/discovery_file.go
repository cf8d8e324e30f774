package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/discovery/azure"
	"github.com/heddle-mesh/heddle/internal/discovery/inventory"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// discoveryFile is the file of --discovery: the sources of virtual machines.
type discoveryFile struct {
	Sources []sourceSettings `yaml:"sources"`
}

// sourceSettings are one source: its name, how often it is asked, and exactly one kind.
type sourceSettings struct {
	Name       string            `yaml:"name"`
	Interval   time.Duration     `yaml:"interval"`
	Longest    time.Duration     `yaml:"longest"`
	StaleAfter time.Duration     `yaml:"staleAfter"`
	Inventory  *inventory.Config `yaml:"inventory"`
	Azure      *azure.Config     `yaml:"azure"`
}

// sources reads --discovery, if it is given.
func (c *serverCmd) sources() ([]discovery.Source, error) {
	if c.Discovery == "" {
		return nil, nil
	}
	return readDiscovery(c.Discovery)
}

// leastInterval keeps a source from being asked without a pause.
const leastInterval = time.Second

// readDiscovery reads the sources; all that is wrong is told at once.
func readDiscovery(path string) ([]discovery.Source, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read --discovery: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	file := discoveryFile{}
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read --discovery %s: %w", path, err)
	}
	if err := decoder.Decode(&discoveryFile{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read --discovery %s: it has more than one YAML document: give one", path)
	}
	if len(file.Sources) == 0 {
		return nil, fmt.Errorf("read --discovery %s: it has no sources", path)
	}
	digests, err := digestsOf(data)
	if err != nil {
		return nil, fmt.Errorf("read --discovery %s: %w", path, err)
	}
	var out []discovery.Source
	var wrong []error
	seen := map[string]bool{}
	for i := range file.Sources {
		one := &file.Sources[i]
		source, err := one.source()
		if err == nil && seen[one.Name] {
			err = errors.New("its name is another source's already")
		}
		if seen[one.Name] = true; err != nil {
			wrong = append(wrong, fmt.Errorf("read --discovery %s: sources[%d] (%q): %w", path, i, one.Name, err))
			continue
		}
		source.Digest = digests[i]
		out = append(out, source)
	}
	return out, errors.Join(wrong...)
}

// digestsOf are those of the sources in a file that was read, in its order.
func digestsOf(data []byte) ([]string, error) {
	var written struct {
		Sources []any `yaml:"sources"`
	}
	if err := yaml.Unmarshal(data, &written); err != nil {
		return nil, err
	}
	out := make([]string, len(written.Sources))
	for i, one := range written.Sources {
		out[i] = discovery.Digest(one)
	}
	return out, nil
}

// source makes what the settings say.
func (s *sourceSettings) source() (discovery.Source, error) {
	out := discovery.Source{Name: s.Name, Pace: discovery.Pace{Interval: s.Interval, Longest: s.Longest, StaleAfter: s.StaleAfter}}
	if !mesh.ServiceName(s.Name).Valid() {
		return out, errors.New("its name is not a DNS label such as \"azure-prod\"")
	}
	if cmp.Or(s.Interval, leastInterval) < leastInterval || cmp.Or(s.Longest, leastInterval) < leastInterval {
		return out, fmt.Errorf("interval and longest are at least %s", leastInterval)
	}
	if interval := cmp.Or(s.Interval, discovery.DefaultInterval); s.Longest != 0 && s.Longest < interval {
		return out, fmt.Errorf("longest, %s, is less than interval, %s: it is the time between refreshes while nothing changes, and grows from interval to that", s.Longest, interval)
	}
	if s.StaleAfter != 0 && s.StaleAfter < out.Pace.WithDefaults().Longest {
		return out, fmt.Errorf("staleAfter is at least longest, %s: a scope that is well is confirmed no more often", out.Pace.WithDefaults().Longest)
	}
	var err error
	switch {
	case (s.Inventory == nil) == (s.Azure == nil):
		return out, errors.New("give it its kind: azure or inventory, one of them")
	case s.Azure != nil:
		out.Kind = "azure"
		out.Lister, err = azure.New(*s.Azure)
	default:
		out.Kind = "inventory"
		out.Lister, err = inventory.New(*s.Inventory, nil)
	}
	return out, err
}
