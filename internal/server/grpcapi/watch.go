package grpcapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// encoder makes and sends the messages of one kind of watch. T is its change.
type encoder[T proto.Message] struct {
	put     func(*mesh.Service) T
	deleted func(name string) T
	send    func(snapshotStart bool, revision int64, changes []T) error
}

// watcher turns the registry's batches into the responses of one watch.
type watcher[T proto.Message] struct {
	view    *view
	encoder encoder[T]
	sent    int64 // the revision that the receiver has
	// shown holds what the receiver was told of and was not told to be gone. Nil
	// after a resumption, when that is not known.
	shown map[mesh.ServiceName]struct{}
}

// watch follows the registry until the caller or the server ends it.
func watch[T proto.Message](ctx context.Context, a *API, v *view, from int64, e encoder[T]) error {
	if from < 0 {
		err := mesh.Invalid("watch "+v.noun+"s", mesh.Faults{{Path: "revision", Message: "is negative: send the revision that was received, or 0"}})
		return a.refusal(ctx, err, codes.Aborted)
	}
	ctx, end, err := a.watches.begin(ctx)
	if err != nil {
		return a.refusal(ctx, err, codes.Aborted)
	}
	defer end()
	e.send = within(a.timeout, e.send)
	w := &watcher[T]{view: v, encoder: e, sent: from}
	err = a.registry.Follow(ctx, from, w.take)
	if errors.Is(err, errSlow) {
		return status.Errorf(codes.Unavailable, "this watch took longer than %s for one response; connect again and resume from revision %d", a.timeout, w.sent)
	}
	if errors.Is(context.Cause(ctx), errStopping) {
		return status.Errorf(codes.Unavailable, "the server is stopping; connect again and resume from revision %d", w.sent)
	}
	return a.refusal(ctx, err, codes.Aborted)
}

// errSlow ends a watch that does not take what it is sent.
var errSlow = errors.New("the watcher is too slow")

// within bounds how long a response may wait for its receiver: etcd's client
// keeps all that happens meanwhile in memory. gRPC has no deadline for a send;
// one that was given up ends with the stream, that is when its handler returns.
func within[T any](limit time.Duration, send func(bool, int64, []T) error) func(bool, int64, []T) error {
	return func(start bool, revision int64, changes []T) error {
		sent := make(chan error, 1)
		go func() { sent <- send(start, revision, changes) }()
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case err := <-sent:
			return err
		case <-timer.C:
			return errSlow
		}
	}
}

// take sends one batch, in several responses if it is big.
func (w *watcher[T]) take(batch registry.Batch) error {
	start := batch.Reset
	if start {
		w.shown = map[mesh.ServiceName]struct{}{}
	}
	var changes []T
	bytes := 0
	for _, one := range batch.Changes {
		change, relevant := w.encode(one)
		if !relevant {
			continue
		}
		if bytes > maxResponse {
			// Not complete: a receiver that resumes has to begin before it.
			if err := w.encoder.send(start, 0, changes); err != nil {
				return err
			}
			start, changes, bytes = false, nil, 0
		}
		changes = append(changes, change)
		bytes += proto.Size(change)
	}
	if len(changes) == 0 && !start {
		return nil
	}
	if err := w.encoder.send(start, batch.Revision, changes); err != nil {
		return err
	}
	w.sent = batch.Revision
	return nil
}

// encode makes the message for a change, if the view shows it.
func (w *watcher[T]) encode(change mesh.Change) (message T, relevant bool) {
	if change.Service == nil {
		return message, false
	}
	name := change.Service.Name
	if !change.Deleted && w.view.shows(change.Service) {
		if w.shown != nil {
			w.shown[name] = struct{}{}
		}
		return w.encoder.put(change.Service), true
	}
	// Gone, or no longer of the view's kind.
	if w.shown != nil {
		if _, known := w.shown[name]; !known {
			return message, false
		}
		delete(w.shown, name)
	}
	return w.encoder.deleted(string(name)), true
}
