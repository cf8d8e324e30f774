package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// processGrace is what a service is given to end in order.
const processGrace = 10 * time.Second

// processes runs services as plain processes, and tells the agent of them by a file.
type processes struct {
	host    *host
	launch  stage.Launcher
	heddle  string
	hurry   <-chan struct{}
	file    string
	running map[string]running // by service
}

type running struct {
	service service
	process *stage.Process
}

func newProcesses(h *host, launch stage.Launcher, heddle string, hurry <-chan struct{}) (*processes, error) {
	p := &processes{host: h, launch: launch, heddle: heddle, hurry: hurry, file: filepath.Join(launch.Folder, h.name+".json"), running: map[string]running{}}
	return p, p.tell()
}

func (p *processes) agentFlags() []string { return []string{"--services", p.file} }

func (p *processes) start(_ context.Context, s service) error {
	process, err := p.launch.Start(p.host.name+"-"+s.name, "nsenter", append([]string{"--net=" + p.host.net.path(), p.heddle}, whoami(s, p.host.name, fmt.Sprint(s.hostPort()))...)...)
	if err != nil {
		return err
	}
	p.running[s.name] = running{s, process}
	return p.tell()
}

func (p *processes) stop(_ context.Context, s service) error {
	one := p.running[s.name]
	delete(p.running, s.name)
	if err := p.tell(); err != nil {
		return err
	}
	if !one.process.Stop(processGrace, p.hurry) {
		return fmt.Errorf("%s on %s did not end when asked", s.name, p.host.name)
	}
	return nil
}

// tell writes what runs, in one step.
func (p *processes) tell() error {
	type port struct {
		Type              string
		Port, ServicePort int
	}
	type told struct {
		ID, Name, ProxyMode string
		Ports               []port
	}
	list := []any{}
	for _, one := range p.running {
		s := one.service
		list = append(list, map[string]told{"Service": {ID: s.name, Name: s.name, ProxyMode: s.mode, Ports: []port{{"tcp", s.hostPort(), s.port}}}})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.file+".new", body, 0o600); err != nil {
		return err
	}
	return os.Rename(p.file+".new", p.file)
}

func (p *processes) id(s service) string { return s.name }

func (p *processes) crash() {
	for _, one := range p.running {
		one.process.Kill()
	}
	clear(p.running)
}

func (p *processes) close() error {
	var mu sync.Mutex // guards forced
	var forced []error
	var stopping sync.WaitGroup
	for _, one := range p.running {
		stopping.Go(func() {
			if !one.process.Stop(processGrace, p.hurry) {
				mu.Lock()
				defer mu.Unlock()
				forced = append(forced, fmt.Errorf("%s did not end when asked, and was killed", one.process.Name))
			}
		})
	}
	stopping.Wait()
	return errors.Join(forced...)
}
