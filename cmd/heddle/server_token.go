package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// tokenFile is where the first admin token goes. The file that becomes it is
// made before the token is: a token that could not be kept would be lost.
type tokenFile struct {
	path   string   // "": the token is printed
	beside *os.File // nil once it is written or discarded
}

func prepareTokenFile(path string) (*tokenFile, error) {
	if path == "" {
		return &tokenFile{}, nil
	}
	refused := &mesh.Error{Kind: mesh.KindInvalid, Message: "the admin token could not be written to --admin-token-file " + path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		refused.Err = errors.New("it is a folder: name a file in it")
		return nil, refused
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".heddle-*") // mode 0600
	if err != nil {
		refused.Err = err
		return nil, refused
	}
	return &tokenFile{path: path, beside: beside}, nil
}

// write puts the secret into the file, in one step.
func (f *tokenFile) write(secret string) error {
	_, err := f.beside.WriteString(secret + "\n")
	if err == nil {
		err = f.beside.Sync()
	}
	if closed := f.beside.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.beside.Name(), f.path)
	}
	if err == nil {
		f.beside = nil
	}
	return err
}

// discard removes what was not needed.
func (f *tokenFile) discard() {
	if f.beside == nil {
		return
	}
	_ = f.beside.Close() // it is empty, or write has reported what is wrong
	_ = os.Remove(f.beside.Name())
	f.beside = nil
}

// announceAdminToken makes the first token of an empty registry, and tells it.
func announceAdminToken(ctx context.Context, con *cli.Console, store *registry.Store, path string, logger *slog.Logger) error {
	tokens, err := store.Tokens(ctx)
	if err != nil {
		return err
	}
	// Without any of those that the first one is among, it is made anew.
	if !slices.ContainsFunc(tokens, func(one registry.Token) bool { return one.Kind == "" && (one.Service != "" || len(one.Owners) == 0) }) {
		file, err := prepareTokenFile(path)
		if err != nil {
			return err
		}
		defer file.discard()
		secret, err := store.EnsureAdminToken(ctx)
		if err != nil {
			return err
		}
		if secret != "" { // else another server was faster
			return file.tell(con, secret, logger)
		}
	}
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		logger.Warn("--admin-token-file is not written: the registry has tokens already, and none is ever shown again; "+
			"with an admin token make another (heddle token create > FILE); docs/operations.md, Tokens, says what to do when all are lost", "file", path)
	}
	return nil
}

// tell gives the secret to the one who started the server.
func (f *tokenFile) tell(con *cli.Console, secret string, logger *slog.Logger) error {
	if f.path == "" {
		_, err := fmt.Fprintf(con.Out, "Admin token, shown this once: %s\nUse it with  export HEDDLE_TOKEN=%s\n", secret, secret)
		return err
	}
	if err := f.write(secret); err != nil {
		// Kept nowhere else: better shown than lost.
		return &mesh.Error{Kind: mesh.KindInvalid, Err: err,
			Message: "the admin token could not be written to --admin-token-file; it is " + secret}
	}
	logger.Info("admin token written; it is shown nowhere else", "file", f.path)
	return nil
}
