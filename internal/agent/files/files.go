// Package files finds the services of a host in a file: JSON as Sidecar's static
// discovery has it.
//
// Main type: [Source]. A file that cannot be read or makes no sense is an error when the
// agent starts ([Source.Check]). Later it changes nothing: what it said last stays.
package files

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// lookAgain is how often the file is looked at.
const lookAgain = 200 * time.Millisecond

// Source reads one file, again whenever it changes.
type Source struct {
	Path    string
	Address netip.Addr // where services are reached that do not say
	Logger  *slog.Logger
}

// Name implements agent.Source.
func (s *Source) Name() string { return "file" }

// Check says what is wrong with the file. There is nothing yet that it said last, and a
// host that seems to run nothing would be taken for one that does.
func (s *Source) Check() error {
	body, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: a host that runs nothing yet has a file with [] in it", err)
	}
	if err != nil {
		return err
	}
	if _, err = s.parse(body); err != nil {
		return fmt.Errorf("%s: %w", s.Path, err)
	}
	return nil
}

// Run implements agent.Source. What is wrong with the file is told once.
func (s *Source) Run(ctx context.Context, found func([]hosts.Service)) error {
	var last, seen []byte // that was taken, and that was read
	var wrong error       // with what was read
	told := ""
	for {
		body, err := s.read()
		if err == nil && (seen == nil || !bytes.Equal(body, seen)) {
			var list []hosts.Service
			if list, wrong = s.parse(body); wrong == nil && (last == nil || !bytes.Equal(body, last)) {
				found(list)
				last = body
			}
			seen = body
		}
		err = cmp.Or(err, wrong)
		switch {
		case err == nil && told != "":
			told = ""
			s.Logger.Info("the file of services can be read again", "file", s.Path)
		case err == nil:
		case told != err.Error():
			told = err.Error()
			s.Logger.Warn("the file of services cannot be read; what it said last stays", "file", s.Path, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookAgain):
		}
	}
}

// mostBytes is more than the services of one host may have: others are told of 8 MiB at most.
const mostBytes = 32 << 20

// read gives the file, without the mark that editors of Windows put first. What is no file
// might never end, or never begin.
func (s *Source) read() ([]byte, error) {
	info, err := os.Stat(s.Path)
	switch {
	case err != nil: // to open it says so, too
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file with services: it is a folder, a pipe or a device", s.Path)
	case info.Size() > mostBytes:
		return nil, fmt.Errorf("%s has %d bytes, and may have %d", s.Path, info.Size(), mostBytes)
	}
	body, err := os.ReadFile(s.Path)
	return bytes.TrimPrefix(body, []byte("\ufeff")), err
}

// entry is one service in the file, as Sidecar has it. Fields without a use are those
// that such files have and Sidecar does not heed either; others are refused.
type entry struct {
	Service struct {
		ID, Name, Image string
		Ports           []struct {
			Type              string
			Port, ServicePort mesh.Port
			IP                string // default: the host's address
		}
		ProxyMode hosts.Mode

		Hostname, Created, Updated, Status json.RawMessage
	}
	Check      check
	ListenPort mesh.Port // where it wants to be told of the fleet's changes
}

// parse reads the file, all or nothing.
func (s *Source) parse(body []byte) ([]hosts.Service, error) {
	entries, err := decode(body)
	if err != nil {
		return nil, err
	}
	list := make([]hosts.Service, 0, len(entries))
	ids := map[string]int{}
	for i, e := range entries {
		one, err := s.service(e)
		if err != nil {
			return nil, fmt.Errorf("service %d (%q): %w", i+1, e.Service.Name, err)
		}
		if one.ID == "" {
			one.ID = string(hosts.MeshName(one.Name))
		}
		if ids[one.ID]++; ids[one.ID] > 1 {
			one.ID = fmt.Sprintf("%s-%d", one.ID, ids[one.ID])
		}
		list = append(list, one)
	}
	return list, nil
}

func (s *Source) service(e entry) (hosts.Service, error) {
	one := hosts.Service{ID: e.Service.ID, Name: e.Service.Name, Image: e.Service.Image, Mode: e.Service.ProxyMode, Address: s.Address}
	if hosts.MeshName(one.Name) == "" {
		return one, errors.New("its Service.Name is missing, or has neither letters nor digits")
	}
	switch one.Mode {
	case "", hosts.HTTPMode, hosts.TCPMode, hosts.WebSocketMode, hosts.HTTP2Mode, hosts.GRPCMode:
	default:
		return one, fmt.Errorf("its ProxyMode %q is none of http, tcp, ws, http2, grpc", one.Mode)
	}
	var err error
	if one.Check, err = e.Check.read(); err != nil {
		return one, fmt.Errorf("its Check: %w", err)
	}
	for _, p := range e.Service.Ports {
		if p.Type != "" && p.Type != "tcp" && p.Type != "udp" {
			return one, fmt.Errorf("a port has Type %q, which is neither tcp nor udp", p.Type)
		}
		if p.Port < 1 || p.Port > 65535 || p.ServicePort < 0 || p.ServicePort > 65535 {
			return one, fmt.Errorf("a port is %d, its ServicePort %d: ports are from 1 to 65535", p.Port, p.ServicePort)
		}
		port := hosts.Port{Type: p.Type, Port: p.Port, ServicePort: p.ServicePort}
		if p.IP != "" {
			if port.Address, err = netip.ParseAddr(p.IP); err != nil {
				return one, fmt.Errorf("its IP %q is no address", p.IP)
			}
		}
		one.Ports = append(one.Ports, port)
	}
	if e.ListenPort != 0 {
		listen := cmp.Or(one.PortFor("tcp", e.ListenPort), e.ListenPort)
		i := slices.IndexFunc(one.Ports, func(p hosts.Port) bool { return p.Port == listen })
		if i < 0 {
			return one, fmt.Errorf("its ListenPort %d is none of its ports", e.ListenPort)
		}
		at := one.Address
		if one.Ports[i].Address.IsValid() {
			at = one.Ports[i].Address
		}
		one.Listener = fmt.Sprintf("http://%s/sidecar/update", netip.AddrPortFrom(at, uint16(listen))) //nolint:gosec // a port
	}
	return one, nil
}
