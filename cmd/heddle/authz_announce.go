package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/authz"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// departing is for how long an AuthZ service goes on answering once it is no
// longer announced: sidecars have to be told.
const departing = time.Second

// authorizer is how the service is announced to sidecars; nil: it is not, since
// they could not verify it.
func (f *authzFlags) authorizer(listener net.Listener, identity bool) (*mesh.Authorizer, error) {
	if !identity && f.Advertise == "" {
		return nil, nil //nolint:nilnil // it is not announced
	}
	address := f.Advertise
	if address == "" {
		address = listener.Addr().String()
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || at.Port() == 0 || at.Addr().IsUnspecified() || at.Addr().Zone() != "" {
		return nil, f.wrong(strconv.Quote(address) + " is not an address that sidecars can reach: say with --advertise where they ask this service, such as 10.0.0.7:18001")
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &mesh.Authorizer{ID: host + "-" + address, Address: at.Addr().String(), Port: mesh.Port(at.Port())}, nil
}

// keyBoard publishes in the registry, for one AuthZ service.
type keyBoard struct {
	store *registry.Store
	id    string // under which the service is announced; "": it is not
}

// Look implements [authz.Board].
func (b keyBoard) Look(ctx context.Context) (authz.Posted, error) {
	trust, err := b.store.Trust(ctx)
	self := func(a mesh.Authorizer) bool { return a.ID == b.id }
	return authz.Posted{
		Keys: trust.Keys, Orders: trust.Orders,
		Self:   slices.ContainsFunc(trust.Authorizers, self),
		Others: slices.ContainsFunc(trust.Authorizers, func(a mesh.Authorizer) bool { return !self(a) }),
	}, err
}

// Post implements [authz.Board].
func (b keyBoard) Post(ctx context.Context, keys mesh.TokenKeys, found authz.Posted) error {
	return b.store.PutTokenKeys(ctx, keys, registry.Trust{Keys: found.Keys, Orders: found.Orders}, registry.Write{Author: b.id, Source: "authz"})
}

// announce tells sidecars of the service, from when it knows the mesh, for as long
// as it has a key to sign with, until ctx ends. It returns once they have been told
// that it goes, and have had the time to.
func (n *authzNode) announce(ctx context.Context) error {
	if n.authorizer == nil {
		return nil
	}
	select {
	case <-n.known:
	case <-ctx.Done():
		return nil
	}
	for {
		if n.keyring.Await(ctx, true) != nil {
			return nil //nolint:nilerr // it ends, and is not announced
		}
		n.logger.Info("the AuthZ service is announced to sidecars", "address", n.authorizer.Address, "port", n.authorizer.Port)
		if err := n.announceWhileAble(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			time.Sleep(departing)
			return nil //nolint:nilerr // it has ended as it should
		}
		n.logger.Warn("the AuthZ service is no longer announced to sidecars: it has no key that it may sign with")
	}
}

// announceWhileAble announces the service until there is no key to sign with, or
// ctx ends.
func (n *authzNode) announceWhileAble(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	errUnable := errors.New("there is no key to sign with")
	group.Go(func() error {
		if n.keyring.Await(ctx, false) != nil {
			return nil //nolint:nilerr // ctx has ended
		}
		return errUnable
	})
	group.Go(func() error {
		return n.store.Announce(ctx, *n.authorizer, func(err error) {
			if err != nil {
				n.logger.Warn("the AuthZ service cannot be announced to sidecars; those that know it go on asking", "error", err)
				return
			}
			n.logger.Info("the AuthZ service is announced to sidecars again")
		})
	})
	if err := group.Wait(); !errors.Is(err, errUnable) {
		return err
	}
	return nil
}
