package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// adoptAdminToken has the first start make the admin token that a file holds: nothing
// has to be carried out of the server then. Servers that start together read the same.
// Later ones need no such file, and start whatever it holds.
func adoptAdminToken(ctx context.Context, store *registry.Store, path string, logger *slog.Logger) error {
	text, unread := os.ReadFile(path)
	secret := strings.TrimSpace(string(text))
	made, err := store.AdoptAdminToken(ctx, secret)
	switch {
	case made:
		logger.Info("the admin token of --initial-admin-token-file is good from now on", "file", path)
		return nil
	case mesh.KindOf(err) == mesh.KindInvalid && unread != nil:
		return &mesh.Error{Kind: mesh.KindInvalid, Message: "read --initial-admin-token-file, which the first start makes its admin token of", Err: unread}
	case err != nil:
		return err
	case errors.Is(unread, fs.ErrNotExist):
		return nil // it was taken away once it was known
	}
	if _, err := store.Authenticate(ctx, secret); mesh.KindOf(err) == mesh.KindDenied {
		logger.Warn("the token in --initial-admin-token-file is not known, and not made: the registry has tokens already, or had this one before; "+
			"with an admin token make another (heddle token create); docs/operations.md, Tokens, says what to do when all are lost", "file", path)
	}
	return nil
}
