package azure

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"

	"github.com/heddle-mesh/heddle/internal/discovery"
)

// Source lists the machines; a [discovery.Lister].
type Source struct {
	cfg       Config
	transport *transport
	login     *login
	options   *arm.ClientOptions

	mu      sync.Mutex         // guards clients and turns
	clients map[string]clients // by subscription: each has its connections and token
	turns   map[string]*turns  // by subscription, see turns.go

	// Of whoever calls List:
	known map[string]bool // the IDs of what Resource Graph had last, see graph.go
	wired map[string]wire // by machine, see recall.go
}

// New makes a source that asks nothing until List, and reads no secret until then either.
func New(cfg Config) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, transport: newTransport(), clients: map[string]clients{}, turns: map[string]*turns{}, wired: map[string]wire{}}
	s.login = newLogin(&s.cfg)
	s.options = s.cfg.options(s.transport, retries())
	return s, nil
}

// listTime bounds the listing of one subscription, or of all by Resource Graph.
const listTime = 2 * time.Minute

// List gives all machines. It fails scope by scope, and nothing is left out of one that did
// not fail. A subscription is left alone if all of its scopes rest.
func (s *Source) List(ctx context.Context, rest discovery.Rest, known discovery.Known) (discovery.Listing, error) {
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
	r := recalled(known)
	parts := s.parts(ctx, asked, r)
	for i := range parts {
		out.Scopes = append(out.Scopes, s.assemble(&parts[i], r)...)
	}
	s.forget(r, parts)
	slices.SortFunc(out.Scopes, func(a, b discovery.Scope) int { return strings.Compare(a.Name, b.Name) })
	out.Cost = s.transport.cost()
	return out, nil
}

// parts lists subscriptions, and asks for what is missing in them.
func (s *Source) parts(ctx context.Context, subscriptions []Subscription, r recall) []part {
	if len(subscriptions) == 0 {
		return nil
	}
	if err := s.login.ready(ctx); err != nil {
		return each(subscriptions, func(Subscription) (found, error) { return found{}, err })
	}
	parts := s.listed(ctx, subscriptions, r)
	var again []Subscription
	for _, one := range parts {
		if refused(one.err) {
			again = append(again, one.subscription)
		}
	}
	if len(again) > 0 && ctx.Err() == nil {
		fresh := map[string]part{}
		for _, one := range s.withAnotherToken(ctx, again, r) {
			fresh[one.subscription.ID] = one
		}
		for i := range parts {
			if one, is := fresh[parts[i].subscription.ID]; is {
				parts[i] = one
			}
		}
	}
	var proving sync.WaitGroup
	for i := range parts {
		proving.Go(func() { s.prove(ctx, &parts[i], r) })
	}
	proving.Wait()
	return parts
}

func (s *Source) listed(ctx context.Context, subscriptions []Subscription, r recall) []part {
	if s.cfg.listing() == ByResourceGraph {
		return s.byGraph(ctx, subscriptions, r)
	}
	return s.byARM(ctx, subscriptions)
}

// withAnotherToken lists those whose token was not taken: rights may have been given that
// are in tokens.
func (s *Source) withAnotherToken(ctx context.Context, subscriptions []Subscription, r recall) []part {
	s.login.forget()
	s.mu.Lock()
	clear(s.clients) // each keeps the token that it has
	s.mu.Unlock()
	if err := s.login.ready(ctx); err != nil {
		return each(subscriptions, func(Subscription) (found, error) { return found{}, err })
	}
	return s.listed(ctx, subscriptions, r)
}

// part is what was found in a subscription, or why it could not be listed.
type part struct {
	subscription Subscription
	found
	err  error
	held map[string]error // known machines that are not listed any more, and why they may not be gone
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
