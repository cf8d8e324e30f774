package xds

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Transport says which variant of the protocol a stream speaks, e.g.
// "ads-delta" or "eds-sotw".
type Transport string

// stream drives a [session] with one gRPC stream. Its handler composes and
// sends; a second goroutine receives. So a client that does not read holds up
// nobody but itself, and its requests are still taken in.
type stream struct {
	server    *Server
	grpc      grpc.ServerStream
	delta     bool
	transport Transport
	id        uint64
	peer      string
	connected time.Time
	box       *mailbox

	mu        sync.Mutex // guards the fields below
	nodeID    string     // empty until the first request
	cluster   string     // of the node
	scopeName string     // empty until the scope is open
	session   *session
	wild      [kindCount]bool // as entered into the table
	warned    [kindCount]bool // what was asked for outside the scope was logged
	refused   []string        // type URLs that were asked for and are not served
	left      bool            // nothing may be entered into the table any more
}

// openingTimeout bounds how long a stream may take up room without saying who
// it is.
const openingTimeout = 30 * time.Second

// serve runs one stream to its end.
func (s *Server) serve(g grpc.ServerStream, delta, aggregated bool, only kind) error {
	st := &stream{server: s, grpc: g, delta: delta, connected: s.now(), box: newMailbox(),
		transport: transportOf(delta, aggregated, only),
		session:   newSession(delta, aggregated, only, s.config.Limits, s.config.Patience)}
	if p, ok := peer.FromContext(g.Context()); ok {
		st.peer = p.Addr.String()
	}
	if err := s.admit(st); err != nil {
		return err
	}
	defer s.dismiss(st)
	ctx, cancel := context.WithCancelCause(g.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.closing, func() { s.part(ctx, func() { cancel(errClosing()) }) })()

	// The receiver cannot be interrupted: it ends when gRPC ends the stream,
	// which is right after this handler has returned. The server waits for it.
	in := inbox{opening: make(chan *corev3.Node, 1), opened: make(chan struct{}), ended: make(chan error, 1)}
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		in.ended <- st.receiveAll(ctx, in)
	}()
	return endOf(st.run(ctx, in))
}

// inbox is what the receiver tells the handler, and the other way round.
type inbox struct {
	opening chan *corev3.Node // the node of the first request
	opened  chan struct{}     // closed: the scope is open, requests may be taken in
	ended   chan error        // there will be no more requests
}

func transportOf(delta, aggregated bool, only kind) Transport {
	service, variant := "ads", "-sotw"
	if !aggregated {
		service = only.String()
	}
	if delta {
		variant = "-delta"
	}
	return Transport(service + variant)
}

// run opens the stream's scope and serves it.
func (st *stream) run(ctx context.Context, in inbox) error {
	var node *corev3.Node
	select {
	case node = <-in.opening:
	case <-time.After(openingTimeout):
		return status.Errorf(codes.DeadlineExceeded, "no request within %s of opening the stream", openingTimeout)
	case err := <-in.ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	opened, err := st.server.turnToOpen(ctx, in.ended)
	if err != nil {
		return err
	}
	defer opened()
	scopeName, closed, err := st.server.scopes.Open(ctx, node)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	if closed != nil {
		defer closed()
	}
	st.join(scopeName)
	defer st.leave()
	close(in.opened)
	return st.sendAll(ctx, in.ended, opened)
}

// sendAll composes and sends for as long as there is something, then waits. It
// calls opened when the client has been sent its first response or needs none.
func (st *stream) sendAll(ctx context.Context, ended <-chan error, opened func()) error {
	for ctx.Err() == nil {
		r, look := st.compose()
		if r != nil {
			if err := st.send(r); err != nil {
				return err
			}
		}
		if opened != nil && (r != nil || st.asked()) {
			opened()
			opened = nil
		}
		if r != nil {
			continue
		}
		if err := st.wait(ctx, look, ended); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// wait returns nil when there may be something to send.
func (st *stream) wait(ctx context.Context, look time.Time, ended <-chan error) error {
	var due <-chan time.Time
	if !look.IsZero() {
		timer := time.NewTimer(look.Sub(st.server.now()))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-st.box.wake:
		return nil
	case <-due:
		return nil
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// compose takes what changed and drafts the next response. The table is held
// still meanwhile, so that a response is made of one state and the mailbox
// belongs to the same one.
func (st *stream) compose() (*response, time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	t, now := st.server.table, st.server.now()
	t.mu.RLock()
	v := view{st.box.scope, st.box}
	st.session.touch(st.box.take(), v)
	r, look := st.session.respond(now, v)
	t.mu.RUnlock()
	if r != nil && !r.heartbeat {
		st.box.behind.Store(true)
	}
	for k, items := range st.session.has {
		t.accepted(k, items, now)
	}
	st.session.has = nil
	return r, look
}

// asked says whether the client has asked for anything.
func (st *stream) asked() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.ContainsFunc(st.session.subs[:], func(s *subscription) bool { return s != nil })
}

func (st *stream) send(r *response) error {
	f := encodeFrame(r, st.delta)
	st.server.metrics.sent(r.kind, f.buffers.Len())
	return st.grpc.SendMsg(f)
}

// receiveAll takes in requests until the stream ends or one is at fault. The
// first one says who the client is, and is taken in when its scope is open.
func (st *stream) receiveAll(ctx context.Context, in inbox) error {
	r, node, err := st.receive()
	if err != nil {
		return err
	}
	if node == nil {
		return status.Error(codes.InvalidArgument, "the first request on a stream must carry the node")
	}
	st.setNode(node)
	in.opening <- node
	select {
	case <-in.opened:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	id := node.GetId()
	for {
		if err := st.take(r); err != nil {
			return err
		}
		if r, node, err = st.receive(); err != nil {
			return err
		}
		if node != nil && node.GetId() != id {
			return status.Errorf(codes.InvalidArgument, "the node id changed from %.200q to %.200q; a stream belongs to one node", id, node.GetId())
		}
	}
}

// setNode keeps of the node what is needed later; the rest, which Envoy fills
// with a list of all its extensions, is only for the scope to be opened.
func (st *stream) setNode(node *corev3.Node) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.nodeID, st.cluster = node.GetId(), node.GetCluster()
	st.session.ttl, st.session.bodies = understandsTTL(node, st.delta), missesHeartbeats(node, st.delta)
}

// take hands a request to the session and enters what it asks for.
func (st *stream) take(r request) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.left {
		return errClosing() // the handler has gone: nobody would answer
	}
	out, err := st.session.request(st.server.now(), r)
	if out.unknownType {
		st.refuse(r.typeURL)
		return nil
	}
	if in := out.interest; in.wild != st.wild[in.kind] || len(in.wait) > 0 || len(in.quit) > 0 {
		st.wild[in.kind] = in.wild
		st.warnOutside(in.kind, st.server.table.enter(st.box, in))
	}
	if err != nil {
		return err
	}
	st.note(out)
	st.settle(out)
	st.box.signal()
	return nil
}

// join makes the stream part of its scope.
func (st *stream) join(scopeName string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.scopeName = scopeName
	if st.delta && st.session.aggregated {
		st.session.owed = st.server.recall(st.nodeID)
	}
	st.box.node, st.box.aggregated = st.nodeID, st.session.aggregated
	st.server.table.join(st.box, scopeName)
	st.server.enlist(st, st.nodeID)
	st.session.roster = func(k kind) *roster { return st.server.table.roster(st.box, k) }
}

// leave ends what the stream entered into the table.
func (st *stream) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.left = true
	var names [kindCount][]name
	for k, sub := range st.session.subs {
		if sub != nil {
			names[k] = sub.askedNames()
		}
	}
	st.server.table.leave(st.box, names)
	st.server.remember(st.nodeID, st.session.allOwed())
}

// endOf is the status that a stream ends with.
func endOf(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.FromContextError(err).Err()
}
