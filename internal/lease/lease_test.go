package lease

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/internal/lease/leasetest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The time in these tests is the bubble's (testing/synctest): no test waits.

const testTTL = 9 * time.Second

func testInstance() mesh.Instance {
	return mesh.Instance{Service: "orders", ID: "orders-1", Address: "127.0.0.1", Port: 9000}
}

// withLease runs a lease within a bubble and checks what the registrar saw.
func withLease(t *testing.T, want []string, play func(f *leasetest.Registrar, l *Lease)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := &leasetest.Registrar{}
		l := New(fake, testInstance(), testTTL, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		play(fake, l)
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Errorf("the lease ended: %v", err)
		}
		if diff := cmp.Diff(want, fake.History()); diff != "" {
			t.Errorf("what the registrar saw (-want +got):\n%s", diff)
		}
	})
}

func healthy() State { return State{Health: mesh.Healthy, Port: 9000} }

// pass lets the bubble's time go on.
func pass(d time.Duration) { time.Sleep(d) }

func settled(l *Lease) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return l.Settle(ctx)
}

func TestLeaseIsRenewedInTime(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "mark 1 draining", "deregister 1"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Hour)
		if f.Instance() == nil {
			t.Error("expired")
		}
		l.Set(State{Health: mesh.Draining})
		pass(time.Minute)
		if f.Instance() == nil {
			t.Error("expired while it drained")
		}
		l.Set(State{})
		if !settled(l) {
			t.Error("not deregistered")
		}
	})
}

func TestLostLeaseIsRegisteredAgain(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "register 2 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Minute)
		f.Lose()
		pass(testTTL)
		if epoch, ok := l.Holding(); epoch != "2" || !ok {
			t.Errorf("holds epoch %q, healthy %v", epoch, ok)
		}
	})
}

func TestOutageLongerThanTheLeaseEndsInANewRegistration(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "expired", "register 2 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Minute)
		f.Fail(leasetest.Unreachable)
		pass(time.Hour)
		f.Fail(nil)
		pass(testTTL / 3 * 3) // a call may be under way, and then one pause
		if f.Instance() == nil {
			t.Error("not registered when the control plane was back")
		}
	})
}

func TestOutageAtTheStartIsWaitedFor(t *testing.T) {
	withLease(t, []string{"register 1 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		f.Fail(func(context.Context) error { return errors.New("connection refused") })
		l.Set(healthy())
		pass(time.Hour)
		f.Fail(nil)
		pass(testTTL)
	})
}

func TestUndeclaredServiceIsWaitedFor(t *testing.T) {
	withLease(t, []string{"register 1 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		f.Fail(func(context.Context) error { return mesh.NotFound("service orders is not declared") })
		l.Set(healthy())
		pass(time.Minute)
		f.Fail(nil)
		pass(testTTL)
	})
}

func TestIDTakenByAnotherIsNotTakenBackWhileItLives(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "register 2 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Second)
		f.Replace(testInstance())
		pass(time.Hour)
		if got := f.Instance(); got == nil || got.Epoch != "other" {
			t.Errorf("the other registration is touched: %+v", got)
		}
		f.Lose()
		pass(testTTL)
	})
}

func TestLeavingDoesNotTouchAnothersRegistration(t *testing.T) {
	withLease(t, []string{"register 1 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Second)
		f.Replace(testInstance())
		l.Set(State{Health: mesh.Draining})
		if !settled(l) {
			t.Error("draining does not settle")
		}
		l.Set(State{})
		if !settled(l) {
			t.Error("leaving does not settle")
		}
		if f.Instance() == nil {
			t.Error("removed the other's registration")
		}
	})
}

// A registration that was under way when the end came, and succeeded, has to be
// taken back: settle must not take "not registered yet" for "deregistered".
func TestLeavingWhileRegisteringLeavesNothingBehind(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "deregister 1"}, func(f *leasetest.Registrar, l *Lease) {
		slow := make(chan struct{})
		f.Fail(func(context.Context) error { <-slow; return nil })
		l.Set(healthy())
		synctest.Wait()
		l.Set(State{})
		time.AfterFunc(100*time.Millisecond, func() { f.Fail(nil); close(slow) })
		if !settled(l) {
			t.Error("does not settle")
		}
		if f.Instance() != nil {
			t.Error("still registered")
		}
	})
}

func TestSettleIsBoundedWhenNobodyAnswers(t *testing.T) {
	withLease(t, []string{"register 1 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Second)
		f.Fail(leasetest.Unreachable)
		l.Set(State{})
		if settled(l) {
			t.Error("settled without an answer")
		}
	})
}

func TestRefusedFirstRegistrationEndsTheLease(t *testing.T) {
	for _, refusal := range []error{mesh.Denied("the token may not register orders"), &mesh.Error{Kind: mesh.KindInvalid, Message: "bad"}} {
		synctest.Test(t, func(t *testing.T) {
			fake := &leasetest.Registrar{}
			fake.Fail(func(context.Context) error { return refusal })
			l := New(fake, testInstance(), testTTL, slog.New(slog.DiscardHandler))
			l.Set(healthy())
			if err := l.Run(t.Context()); !errors.Is(err, refusal) {
				t.Errorf("got %v, want %v", err, refusal)
			}
		})
	}
}

func TestLaterRefusalIsWaitedOut(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "expired", "register 2 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Second)
		f.Fail(func(context.Context) error { return mesh.Denied("the token is revoked") })
		pass(time.Minute)
		f.Fail(nil)
		pass(testTTL)
	})
}

func TestUnhealthyAndBackKeepsTheRegistration(t *testing.T) {
	withLease(t, []string{"register 1 healthy", "mark 1 unhealthy", "mark 1 healthy"}, func(f *leasetest.Registrar, l *Lease) {
		l.Set(healthy())
		pass(time.Second)
		l.Set(State{Health: mesh.Unhealthy})
		pass(time.Minute)
		l.Set(healthy())
		pass(time.Minute)
	})
}
