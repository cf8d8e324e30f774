package intercept

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Systemd is where the unit is kept and enabled.
type Systemd struct {
	Root string // of the file system that it is of; "": of this machine, whose systemd runs
}

// Path is the unit's file.
func (s Systemd) Path() string { return filepath.Join(s.Root, "/etc/systemd/system", UnitName) }

// Read gives the unit's file; "": there is none.
func (s Systemd) Read() (string, error) {
	text, err := os.ReadFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return string(text), err
}

// Keep writes the unit and enables it. It gives what puts things back as they were.
func (s Systemd) Keep(ctx context.Context, unit string) (undo func() error, err error) {
	before, err := s.Read()
	if err != nil {
		return nil, err
	}
	undo = func() error {
		ctx := context.WithoutCancel(ctx)
		if before == "" {
			return s.Forget(ctx)
		}
		return errors.Join(s.write(before), s.reload(ctx))
	}
	err = s.write(unit)
	if err == nil {
		err = s.reload(ctx)
	}
	if err == nil {
		err = s.control(ctx, "enable", UnitName)
	}
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// Start has systemd count the unit as one that runs, so that it is stopped with it.
func (s Systemd) Start(ctx context.Context) error {
	if s.Root != "" {
		return nil
	}
	return s.control(ctx, "start", UnitName)
}

// Forget stops the unit, which takes the rules away, and removes it. Without one there
// is nothing to do.
func (s Systemd) Forget(ctx context.Context) error {
	if unit, err := s.Read(); err != nil || unit == "" {
		return err
	}
	stop := []string{"disable", UnitName}
	if s.Root == "" {
		stop = []string{"disable", "--now", UnitName}
	}
	if err := s.control(ctx, stop...); err != nil {
		return err
	}
	if err := os.Remove(s.Path()); err != nil {
		return err
	}
	return s.reload(ctx)
}

// write replaces the file in one step.
func (s Systemd) write(unit string) error {
	if err := os.MkdirAll(filepath.Dir(s.Path()), 0o755); err != nil { //nolint:gosec // others read units
		return err
	}
	beside := s.Path() + ".new"
	if err := os.WriteFile(beside, []byte(unit), 0o644); err != nil { //nolint:gosec // others read units
		return err
	}
	return os.Rename(beside, s.Path())
}

func (s Systemd) reload(ctx context.Context) error {
	if s.Root != "" {
		return nil
	}
	return s.control(ctx, "daemon-reload")
}

func (s Systemd) control(ctx context.Context, arguments ...string) error {
	if s.Root != "" {
		arguments = append([]string{"--root", s.Root}, arguments...)
	}
	said, err := exec.CommandContext(ctx, "systemctl", arguments...).CombinedOutput()
	if err != nil {
		return mesh.Unavailable(err, "systemctl %s failed: %s; where systemd does not run, have heddle intercept install run at each start by other means", strings.Join(arguments, " "), strings.TrimSpace(string(said)))
	}
	return nil
}
