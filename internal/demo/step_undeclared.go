package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// undeclared: who has not declared a service does not get to it: not by its own
// sidecar, not by asking for a token itself, and not by calling the service's port
// with a good certificate of the mesh.
func (s *scenario) undeclared(ctx context.Context) (stage.Finding, error) {
	figures := map[string]float64{}
	for _, f := range s.town.fronts {
		got, err := f.get(ctx, "/call/"+shop.Payments)
		if err != nil {
			return stage.Finding{Figures: figures}, err
		}
		if err := refusedAs(got, http.StatusForbidden, undeclared, `"web" has not declared a dependency on "payments"`); err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("through %s: %w", f.id, err)
		}
		figures["bySidecar"]++
	}
	reviews, err := s.town.bearerOf("reviews-1")
	if err != nil {
		return stage.Finding{Figures: figures}, err
	}
	for _, a := range s.town.authorizers {
		got, err := reviews.askForToken(ctx, a, shop.Orders)
		if err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("ask %s: %w", a.id, err)
		}
		if err := refusedAs(got, http.StatusForbidden, undeclared, `\"reviews\" has not declared a dependency on \"orders\"`); err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("by %s: %w", a.id, err)
		}
		figures["byAuthz"]++
	}
	for _, i := range s.town.instances {
		switch i.service {
		case shop.Reviews:
			continue
		case shop.Ledger:
			err = reviews.cannotPay(ctx, i)
		default:
			var got reply
			if got, _, err = reviews.ask(ctx, i, "/", ""); err == nil {
				err = refusedAs(got, http.StatusUnauthorized, noToken, spiffeID(shop.Reviews))
			}
		}
		if err != nil {
			return stage.Finding{Figures: figures}, fmt.Errorf("reviews on the port of %s, with its certificate: %w", i.id, err)
		}
		figures["atPorts"]++
	}
	return stage.Finding{
		Detail:  `web → payments got a 403 that says: "web" has not declared a dependency on "payments"; reviews, with its own certificate, was refused a token for orders for the same reason, and at the ports of all others`,
		Figures: figures,
	}, nil
}

// askForToken asks an AuthZ service for a token, as a sidecar does. The status is 0
// when it is given.
func (b *bearer) askForToken(ctx context.Context, a *authorizer, callee string) (reply, error) {
	var peer atomic.Value
	conn, err := grpc.NewClient(a.grpc, grpc.WithTransportCredentials(credentials.NewTLS(b.settings(&peer, "h2"))))
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	answer, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{
		Attributes: &authv3.AttributeContext{ContextExtensions: map[string]string{"callee": callee}},
	})
	if err != nil {
		return reply{}, err
	}
	denied := answer.GetDeniedResponse()
	got := reply{status: int(denied.GetStatus().GetCode()), body: denied.GetBody()}
	for _, header := range denied.GetHeaders() {
		if strings.EqualFold(header.GetHeader().GetKey(), "x-heddle-reason") {
			got.reason = header.GetHeader().GetValue() + string(header.GetHeader().GetRawValue())
		}
	}
	return got, nil
}

// cannotPay says whether a TCP service ends the connection without an answer: nil.
func (b *bearer) cannotPay(ctx context.Context, i *instance) error {
	var peer atomic.Value
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: requestTime}, Config: b.settings(&peer, "heddle")}
	conn, err := dialer.DialContext(ctx, "tcp", address(i.inbound))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(requestTime)); err != nil {
		return err
	}
	_, _ = io.WriteString(conn, "PAY\n") // whether it fails or the answer does not come is the same
	var late net.Error
	switch answer, err := io.ReadAll(conn); {
	case len(answer) > 0:
		return fmt.Errorf("it answered %q", answer)
	case errors.As(err, &late) && late.Timeout():
		return errors.New("the connection stayed open")
	}
	return nil
}
