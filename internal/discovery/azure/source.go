package azure

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/heddle-mesh/heddle/internal/discovery"
)

// Source lists the machines; a [discovery.Lister].
type Source struct {
	cfg       Config
	transport *transport
	retry     policy.RetryOptions

	// Of whoever calls List:
	credential azcore.TokenCredential
	options    *arm.ClientOptions
	known      map[string]bool // the IDs of what Resource Graph had last, see graph.go
}

// New makes a source that asks nothing until List.
func New(cfg Config) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, transport: newTransport(), retry: retries()}
	return s, s.login()
}

func (s *Source) login() error {
	credential, err := s.cfg.credential()
	if err != nil {
		return err
	}
	s.credential, s.options = credential, s.cfg.options(s.transport, s.retry)
	return nil
}

// listTime bounds the listing of one subscription, or of all by Resource Graph.
const listTime = 2 * time.Minute

// List gives all machines. It fails scope by scope, and nothing is left out of one that did
// not fail. A subscription is left alone if all of its scopes rest.
func (s *Source) List(ctx context.Context, rest discovery.Rest, _ discovery.Known) (discovery.Listing, error) {
	out := discovery.Listing{}
	var asked []Subscription
	for _, one := range s.cfg.Subscriptions {
		if !one.rests(rest) {
			asked = append(asked, one)
			continue
		}
		for _, name := range one.scopes() {
			out.Scopes = append(out.Scopes, discovery.Scope{Name: name, Rests: true})
		}
	}
	if len(asked) > 0 {
		for _, one := range s.parts(ctx, asked) {
			out.Scopes = append(out.Scopes, s.assemble(&one)...)
		}
	}
	slices.SortFunc(out.Scopes, func(a, b discovery.Scope) int { return strings.Compare(a.Name, b.Name) })
	out.Cost = s.transport.cost()
	return out, nil
}

// parts lists subscriptions.
func (s *Source) parts(ctx context.Context, subscriptions []Subscription) []part {
	list := s.byARM
	if s.cfg.listing() == ByResourceGraph {
		list = s.byGraph
	}
	parts := list(ctx, subscriptions)
	var again []Subscription
	for _, one := range parts {
		if refused(one.err) {
			again = append(again, one.subscription)
		}
	}
	if len(again) > 0 && ctx.Err() == nil {
		parts = s.afterLogin(ctx, list, parts, again)
	}
	return parts
}

// part is what was found in a subscription, or why it could not be listed.
type part struct {
	subscription Subscription
	found
	err error
}

// afterLogin lists those again whose tokens were not taken, with new ones: a secret may
// have been replaced, or rights been given that are in tokens.
func (s *Source) afterLogin(ctx context.Context, list func(context.Context, []Subscription) []part, parts []part, again []Subscription) []part {
	err := s.login()
	if _, is := s.credential.(*azidentity.ManagedIdentityCredential); is && err == nil {
		s.credential = &anew{of: s.credential, since: time.Now()}
	}
	if err != nil {
		for i := range parts {
			if refused(parts[i].err) {
				parts[i].err = err
			}
		}
		return parts
	}
	fresh := map[string]part{}
	for _, one := range list(ctx, again) {
		fresh[one.subscription.ID] = one
	}
	for i := range parts {
		if one, is := fresh[parts[i].subscription.ID]; is {
			parts[i] = one
		}
	}
	return parts
}

// each runs do for all subscriptions at once: the transport bounds what that means.
func each(subscriptions []Subscription, do func(Subscription) (found, error)) []part {
	out := make([]part, len(subscriptions))
	var running sync.WaitGroup
	for i, one := range subscriptions {
		running.Go(func() {
			found, err := do(one)
			out[i] = part{subscription: one, found: found, err: err}
		})
	}
	running.Wait()
	return out
}
