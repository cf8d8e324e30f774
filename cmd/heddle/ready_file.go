package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// readyFile tells scripts that what they started serves, and where. One of an
// earlier run, which was killed, has to be removed before anything else.
type readyFile struct {
	path string // "": none is asked for
	log  *slog.Logger
}

// check finds at the start what would otherwise show when there is something to write.
func (f readyFile) check() error {
	if f.path == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(f.path)); err != nil || !info.IsDir() {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: "the folder for --ready-file " + f.path + " is not there: make it first", Err: err}
	}
	return nil
}

// write replaces the file in one step, so that nobody reads half of it.
func (f readyFile) write(content any) error {
	if f.path == "" {
		return nil
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(f.path), ".heddle-*")
	if err != nil {
		return err
	}
	_, err = beside.Write(append(data, '\n'))
	if closed := beside.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(beside.Name(), f.path)
	}
	if err != nil {
		os.Remove(beside.Name())
	}
	return err
}

// remove takes the file away; it need not be there.
func (f readyFile) remove() {
	if f.path == "" {
		return
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Warn("the ready file cannot be removed", "error", err)
	}
}
