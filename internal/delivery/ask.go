package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	tokenHeader = "x-heddle-token"
	// answerTime is what an AuthZ service has for one answer.
	answerTime = time.Second
)

// Asker asks AuthZ services for tokens, one of them until it gives no answer. It is
// safe for concurrent use.
type Asker struct {
	// Authorizers says where there are AuthZ services, "host:port" each.
	Authorizers func(context.Context) ([]string, error)
	TLS         *tls.Config // with the workload's certificate
	Logger      *slog.Logger

	mu      sync.Mutex
	current *grpc.ClientConn  // guarded by mu; nil: another is to be chosen
	refused map[string]string // guarded by mu: what was logged of a callee
}

// Ask gets the token for a callee, see [Ask].
func (a *Asker) Ask(ctx context.Context, callee mesh.ServiceName) (string, error) {
	conn, err := a.conn(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{
		Attributes: &authv3.AttributeContext{ContextExtensions: map[string]string{"callee": string(callee)}},
	})
	if err != nil {
		a.forget(conn)
		return "", err
	}
	if denied := answer.GetDeniedResponse(); denied != nil || answer.GetStatus().GetCode() != int32(codes.OK) {
		if denied.GetStatus().GetCode() == 401 { // the connection is as old as its certificate
			a.forget(conn)
			return "", fmt.Errorf("the AuthZ service does not know who asks: %s", denied.GetBody())
		}
		a.tell(callee, denied.GetBody())
		return "", nil
	}
	a.tell(callee, "")
	for _, one := range answer.GetOkResponse().GetHeaders() {
		if one.GetHeader().GetKey() == tokenHeader {
			if value := one.GetHeader().GetValue(); value != "" {
				return value, nil
			}
			return string(one.GetHeader().GetRawValue()), nil
		}
	}
	return "", nil
}

// tell logs a refusal once.
func (a *Asker) tell(callee mesh.ServiceName, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused = map[string]string{}
	}
	if why != "" && a.refused[string(callee)] != why {
		a.Logger.Warn("the AuthZ service gives no token", "callee", callee, "answer", mesh.Cut(why, 500))
	}
	a.refused[string(callee)] = why
}

func (a *Asker) conn(ctx context.Context) (*grpc.ClientConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil {
		return a.current, nil
	}
	all, err := a.Authorizers(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the AuthZ services: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("no AuthZ service is announced")
	}
	address := all[rand.IntN(len(all))] //nolint:gosec // no secret
	a.current, err = grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(a.TLS)))
	return a.current, err
}

// forget has another service chosen.
func (a *Asker) forget(conn *grpc.ClientConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == conn {
		a.current = nil
		_ = conn.Close()
	}
}

// Close ends the connection.
func (a *Asker) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil {
		_ = a.current.Close()
		a.current = nil
	}
}
