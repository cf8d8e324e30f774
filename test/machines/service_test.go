package machines_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/heddle-mesh/heddle/internal/childtest"
)

// service is a unit of systemd that is run as its file says: what of it says who runs
// what, with which environment and which capabilities. The rest (mounts, filters of
// system calls) needs systemd itself.
type service struct {
	m        *machine
	file     string
	settings map[string][]string // of [Service]
	child    *childtest.Child
	log      string // the file here that it writes to
}

// service reads a unit of the machine and its drop-ins.
func (m *machine) service(file string) *service {
	m.t.Helper()
	s := &service{m: m, file: file, settings: map[string][]string{}}
	source := regexp.MustCompile(`@.*[.]`).ReplaceAllString(file, "@.")
	instance := strings.TrimSuffix(file[strings.Index(file, "@")+1:], ".service")
	text := m.read("/etc/systemd/system/" + source)
	dropIns, _ := os.ReadDir(m.path("/etc/systemd/system/" + source + ".d"))
	for _, one := range dropIns {
		text += m.read("/etc/systemd/system/" + source + ".d/" + one.Name())
	}
	section := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "%i", instance)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); strings.HasPrefix(line, "[") {
			section = line
		} else if ok && !strings.HasPrefix(line, "#") && section == "[Service]" {
			s.settings[name] = append(s.settings[name], value)
		}
	}
	return s
}

func (s *service) get(name string) string {
	if values := s.settings[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// environment is what systemd gives: what the unit sets, then what its files do.
func (s *service) environment() []string {
	var out []string
	for _, line := range s.settings["Environment"] {
		out = append(out, strings.Fields(line)...)
	}
	for _, file := range s.settings["EnvironmentFile"] {
		for line := range strings.Lines(s.m.read(file)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			out = append(out, name+"="+strings.Trim(value, "'"))
		}
	}
	for variable, setting := range map[string]string{"RUNTIME_DIRECTORY": "RuntimeDirectory", "STATE_DIRECTORY": "StateDirectory"} {
		if folder := s.get(setting); folder != "" {
			out = append(out, variable+"="+s.folder(setting, folder))
		}
	}
	return out
}

func (s *service) folder(setting, name string) string {
	return map[string]string{"RuntimeDirectory": "/run/", "StateDirectory": "/var/lib/"}[setting] + name
}

// words splits a line of the unit as systemd does: $NAME is split, too.
func (s *service) words(line string) (out []string) {
	for _, word := range strings.Fields(line) {
		name, is := strings.CutPrefix(word, "$")
		if !is {
			out = append(out, word)
			continue
		}
		for _, one := range s.environment() {
			if value, is := strings.CutPrefix(one, name+"="); is {
				out = append(out, strings.Fields(value)...)
			}
		}
	}
	return out
}

// command runs a line of the unit as its user, with its capabilities.
func (s *service) command(line string) *exec.Cmd {
	words := s.words(line)
	user := s.get("User")
	if user == "" {
		return s.m.command(s.environment(), words[0], words[1:]...)
	}
	keeps := []string{"--bounding-set", "-all"}
	if capability := strings.ToLower(strings.TrimPrefix(s.get("AmbientCapabilities"), "CAP_")); capability != "" {
		keeps = []string{"--bounding-set", "-all,+" + capability, "--inh-caps", "-all,+" + capability, "--ambient-caps", "-all,+" + capability}
	}
	arguments := append([]string{"--reuid", user, "--regid", s.get("Group"), "--clear-groups", "--no-new-privs"}, keeps...)
	return s.m.command(s.environment(), "setpriv", append(arguments, words...)...)
}

// start does what systemctl start does.
func (s *service) start() {
	s.m.t.Helper()
	for _, setting := range []string{"StateDirectory", "RuntimeDirectory"} {
		if name := s.get(setting); name != "" {
			folder := s.folder(setting, name)
			s.m.run("install", "-d", "-m", s.get(setting+"Mode"), "-o", s.get("User"), "-g", s.get("Group"), folder)
		}
	}
	out, err := os.CreateTemp(s.m.t.TempDir(), "log")
	if err != nil {
		s.m.t.Fatal(err)
	}
	defer out.Close()
	s.log = out.Name()
	for _, line := range s.settings["ExecStartPre"] {
		command := s.command(line)
		command.Stdout, command.Stderr = out, out
		if err := command.Run(); err != nil {
			s.m.t.Fatalf("%s on %s: %s: %v\n%s", s.file, s.m.name, line, err, s.said())
		}
	}
	command := s.command(s.get("ExecStart"))
	command.Stdout, command.Stderr = out, out
	if s.child, err = childtest.Start(command); err != nil {
		s.m.t.Fatal(err)
	}
	s.m.t.Cleanup(func() {
		s.child.Kill()
		if s.m.t.Failed() {
			s.m.t.Logf("%s on %s:\n%s", s.file, s.m.name, s.said())
		}
	})
}

func (s *service) said() string {
	data, _ := os.ReadFile(s.log)
	return string(data)
}

// wait waits for the end of one that ends by itself.
func (s *service) wait() {
	s.m.t.Helper()
	await(s.m.t, s.file+" on "+s.m.name, s.child)
}

// stop does what systemctl stop does: SIGTERM to the main process, and its folder below
// /run goes.
func (s *service) stop() {
	s.m.t.Helper()
	s.m.run("pkill", "-TERM", "-x", "heddle")
	s.wait()
	if name := s.get("RuntimeDirectory"); name != "" {
		s.m.run("rm", "-rf", s.folder("RuntimeDirectory", name))
	}
}
