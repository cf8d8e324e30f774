package xds

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// When a network is back or another replica has ended, all its proxies come at
// once. Only so many streams are opened at a time then, and the others wait for
// their turn, so that the proxies that are served already hear of changes as
// soon as ever. In the same way a server that ends sends its proxies away one
// after the other.

// defaultOpening is how many streams may be opening at a time.
const defaultOpening = 64

// turnPatience is how long a stream waits for its turn before it is told to go to
// another replica.
const turnPatience = 10 * time.Second

// openingTurn is the longest time that a stream has to open while others wait: a
// client that does not read its first response does not hold them up.
const openingTurn = time.Second

// turnToOpen waits until a stream may open. The caller calls done when it has been
// sent its first response, or ends; more than once does no harm.
func (s *Server) turnToOpen(ctx context.Context, ended <-chan error) (done func(), err error) {
	s.metrics.waiting.Inc()
	defer s.metrics.waiting.Dec()
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	select {
	case s.opening <- struct{}{}:
	case <-patience.C:
		return nil, status.Errorf(codes.Unavailable, "%d other proxies are being served their first configuration; connect to another replica or try again", cap(s.opening))
	case err := <-ended:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	over := time.AfterFunc(openingTurn, func() { <-s.opening })
	return func() {
		if over.Stop() {
			<-s.opening
		}
	}, nil
}

// warnFullEvery is how often it is said that streams are refused because there
// are too many.
const warnFullEvery = time.Minute

// full refuses a stream because there are too many. The caller holds s.mu.
func (s *Server) full(limit int) error {
	s.metrics.refused.Inc()
	if now := s.now(); now.Sub(s.warnedFull) >= warnFullEvery {
		s.warnedFull = now
		s.logger.Warn("a stream is refused, and more may be: this server has as many as it may; start another one, or allow more (--max-streams)", "streams", limit)
	}
	return status.Errorf(codes.ResourceExhausted, "this server serves at most %d streams; try another replica", limit)
}

// A server that ends parts with its streams over this time: for each of them, and
// at most.
const (
	partingEach = time.Millisecond
	partingMost = 3 * time.Second
)

// part ends a stream when the server closes: at a moment of its own, so that the
// proxies do not come to another replica all at once.
func (s *Server) part(ctx context.Context, end func()) {
	s.mu.Lock()
	over := min(time.Duration(len(s.streams))*partingEach, partingMost)
	s.mu.Unlock()
	timer := time.NewTimer(rand.N(over + 1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	end()
}
