package main

import (
	"context"
	"errors"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// advise adds what the one who typed the command can do about err.
func advise(g *cli.Globals, err error) error {
	token, unread := g.ReadToken()
	switch {
	case mesh.KindOf(err) == mesh.KindDenied && unread == nil && token == "":
		return &cli.Hinted{Err: err, Hint: "no access token was given: set HEDDLE_TOKEN_FILE (or --token-file) to a file that holds one; the server writes the admin token at its first start (heddle server --admin-token-file)"}
	case mesh.KindOf(err) == mesh.KindConflict && mesh.ReasonOf(err) != mesh.ReasonDependents && mesh.ReasonOf(err) != mesh.ReasonKept: // which have hints of their own
		return &cli.Hinted{Err: err, Hint: "look at what is there now with \"heddle get\", and decide anew"}
	}
	return err
}

// liveNames asks the server for names to complete. Whatever goes wrong, or
// takes long, there are none.
func liveNames(ctx context.Context, g *cli.Globals) nameSource {
	return func(server, what string) []string {
		with := *g
		if server != "" {
			with.Server = server
		}
		c, err := with.Connect()
		if err != nil {
			return nil
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		names, err := namesOf(ctx, c, what)
		if err != nil {
			return nil
		}
		return names
	}
}

// joinErrors is errors.Join that leaves a single error as it is, so that its
// message and its hint stay whole.
func joinErrors(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
