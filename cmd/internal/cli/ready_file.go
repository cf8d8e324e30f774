package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// ReadyFile tells scripts that what they started serves, and where. One of an
// earlier run, which was killed, has to be removed before anything else.
type ReadyFile struct {
	Path string // "": none is asked for
	Log  *slog.Logger
}

// check finds at the start what would otherwise show when there is something to write.
func (f ReadyFile) check() error {
	if f.Path == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(f.Path)); err != nil || !info.IsDir() {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: "the folder for --ready-file " + f.Path + " is not there: make it first", Err: err}
	}
	return nil
}

// Write replaces the file in one step, so that nobody reads half of it.
func (f ReadyFile) Write(content any) error {
	if f.Path == "" {
		return nil
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(f.Path), ".heddle-*")
	if err != nil {
		return err
	}
	_, err = beside.Write(append(data, '\n'))
	if closed := beside.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(beside.Name(), f.Path)
	}
	if err != nil {
		os.Remove(beside.Name())
	}
	return err
}

// Remove takes the file away; it need not be there.
func (f ReadyFile) Remove() {
	if f.Path == "" {
		return
	}
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Log.Warn("the ready file cannot be removed", "error", err)
	}
}
