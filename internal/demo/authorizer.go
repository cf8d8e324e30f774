package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// authzStart bounds how long an AuthZ service takes until it can give tokens.
const authzStart = 30 * time.Second

// authorizer is `heddle authz`, apart from the control plane: tokens are given
// also while that is away.
type authorizer struct {
	id         string
	grpc, http string   // host:port
	arguments  []string // of every start
	process    *stage.Process
}

// startAuthorizers runs the AuthZ services, and returns when they can give tokens.
// They share their signing keys through etcd.
func (t *town) startAuthorizers(ctx context.Context) error {
	secret, err := t.authzSecret()
	if err != nil {
		return fmt.Errorf("start the AuthZ services: %w", err)
	}
	join, err := t.joinToken(ctx, mesh.Identity{Kind: mesh.AuthzIdentity}, len(t.authorizers))
	if err != nil {
		return err
	}
	for _, a := range t.authorizers {
		for _, at := range []*string{&a.grpc, &a.http} {
			port, err := t.block.take()
			if err != nil {
				return err
			}
			*at = address(port)
		}
		a.arguments = []string{
			"authz", "--listen", a.grpc, "--http-listen", a.http, "--etcd-endpoints", t.plane.etcd, "--key-file", secret,
			"--server", t.plane.tlsURL(), "--identity-dir", t.identityFolder(a.id), "--join-token-file", join,
			"--edge-config", t.issuer.config,
		}
		if err := t.startAuthorizer(a); err != nil {
			return err
		}
	}
	for _, a := range t.authorizers {
		if err := a.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// authzSecret gives the file with the secret under which the signing keys are in the
// registry: of a demo that had the same folder, the one of then. It is there whole or
// not at all, whenever a demo is killed.
func (t *town) authzSecret() (file string, err error) {
	file = filepath.Join(t.folder, "authz-secret")
	if kept, err := os.Stat(file); err == nil && kept.Size() > 0 { // an empty one is of an earlier Heddle that was killed
		return file, nil
	}
	aside := file + ".new"
	if err := os.WriteFile(aside, []byte(rand.Text()+rand.Text()+"\n"), 0o600); err != nil {
		return "", err
	}
	return file, os.Rename(aside, file)
}

func (t *town) startAuthorizer(a *authorizer) (err error) {
	a.process, err = t.launch.Start(a.id, t.config.Heddle, a.arguments...)
	return err
}

// await waits until the service can give tokens.
func (a *authorizer) await(ctx context.Context) error {
	if err := stage.Poll(ctx, authzStart, a.id+" to be ready", a.ready); err != nil {
		return fmt.Errorf("%w; its log (%s) ends with:\n%s", err, a.process.LogPath, stage.LastLines(a.process.LogPath, 8))
	}
	return a.process.Ended()
}

// ready says whether the service can give tokens; nil also when it has ended.
func (a *authorizer) ready(ctx context.Context) error {
	if a.process.Gone() {
		return nil
	}
	door := newFront(a.id, a.http, a.http)
	defer door.close()
	got, err := door.get(ctx, "/readyz")
	if err == nil && got.status != http.StatusOK {
		err = got
	}
	return err
}
