package workload

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// tokenLook is how often the file of the join token is looked at, once only a new
// token mends what is wrong.
const tokenLook = time.Second

// Run renews the certificate at half its life until ctx ends. One that cannot be
// renewed is tried again and again; once it is refused, or has expired, with the
// join token that the file holds by then.
func (i *Identity) Run(ctx context.Context) {
	for {
		left := i.current().certificate.Leaf.NotAfter.Sub(i.cfg.Now())
		spread := 0.9 + 0.2*mathrand.Float64() //nolint:gosec // no secret: so that those who came together do not renew together
		if !sleep(ctx, time.Duration(float64(left)/2*spread)) || !i.renewAtLast(ctx, left) {
			return
		}
	}
}

// renewAtLast tries until the certificate is renewed; left is what it lived when it
// was last looked at. False: ctx has ended.
func (i *Identity) renewAtLast(ctx context.Context, left time.Duration) bool {
	soon, seldom := pauses(min(longestPause, max(left/10, firstPause))), pauses(longestPause)
	said := "" // of the certificate once it had expired
	for {
		token := i.joinToken()
		err := i.renew(ctx)
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		ended := i.current().certificate.Leaf.NotAfter
		if i.cfg.Now().Before(ended) {
			i.cfg.Logger.Error("the certificate could not be renewed; trying again", "identity", i.cfg.Identity.String(), "expires", ended, "error", err)
		} else if err.Error() != said {
			said = err.Error()
			i.cfg.Logger.Error("the certificate has expired and was not replaced; said again when the reason changes", "identity", i.cfg.Identity.String(), "expired", ended, "error", err)
		}
		pause := soon.NextBackOff()
		if said != "" && mesh.KindOf(err) != mesh.KindUnavailable {
			pause = seldom.NextBackOff()
		}
		if !i.awaitToken(ctx, pause, token) {
			return false
		}
	}
}

// awaitToken waits for that long, or until the join token is another one.
func (i *Identity) awaitToken(ctx context.Context, pause time.Duration, token string) bool {
	for ; pause > 0 && i.joinToken() == token; pause -= tokenLook {
		if !sleep(ctx, min(pause, tokenLook)) {
			return false
		}
	}
	return true
}

// joinToken is what the file of the join token holds; "" if it cannot be read.
func (i *Identity) joinToken() string {
	if i.cfg.JoinTokenFile == "" {
		return ""
	}
	text, _ := os.ReadFile(i.cfg.JoinTokenFile)
	return string(text)
}

func (i *Identity) renew(ctx context.Context) error {
	ended := i.current().certificate.Leaf.NotAfter
	if i.cfg.Now().Before(ended) {
		err := i.get(ctx, i.TLS(), "")
		if mesh.KindOf(err) != mesh.KindDenied || !i.canJoin() {
			return err
		}
		if joining := i.join(ctx); joining != nil {
			return fmt.Errorf("%w; and joining anew: %w", err, joining)
		}
		return nil
	}
	if !i.canJoin() {
		return i.expired(ended)
	}
	return i.join(ctx)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
