package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of ending in order.
const (
	drainTimeout = 5 * time.Second  // of a sidecar's requests under way
	sidecarGrace = 15 * time.Second // of a sidecar, its drain included
	serverGrace  = 10 * time.Second
	leftoverTime = 5 * time.Second // until nothing of the demo is left
)

// town is the sample mesh: its control plane, its apps and their sidecars.
type town struct {
	config Config
	folder string
	say    func(format string, args ...any)
	fail   func(error) // ends the demo

	launch stage.Launcher
	block  *ports
	plane  *controlPlane
	issuer *issuer

	authorizers []*authorizer
	gateway     *gateway    // nil: none yet, or the town has none
	instances   []*instance // with sidecars run by `heddle proxy`
	spares      []*instance // with Envoys alone, registered in the scenario
	fronts      []*front    // the apps of web, each behind its sidecar

	apps    sync.WaitGroup
	endApps context.CancelFunc
}

// declarations are what the owners of the shop declare.
func declarations() []mesh.Service {
	service := func(name, about string, protocol mesh.Protocol, port mesh.Port, dependencies ...mesh.ServiceName) mesh.Service {
		return mesh.Service{
			Name: mesh.ServiceName(name), Owner: "team-shop", Description: about, Protocol: protocol, Port: port,
			Dependencies: append([]mesh.ServiceName{}, dependencies...), // never nil: nil means left out
		}
	}
	orders := service(shop.Orders, "takes orders", mesh.HTTP, 8080, shop.Payments, shop.Stock)
	orders.Subsets = []mesh.Subset{
		{Name: "v1", Labels: map[string]string{"version": "v1"}},
		{Name: "v2", Labels: map[string]string{"version": "v2"}},
	}
	return []mesh.Service{
		service(shop.Ledger, "books payments, over TCP", mesh.TCP, 9000),
		service(shop.Stock, "knows what is on the shelf, over gRPC", mesh.GRPC, 8080),
		service(shop.Reviews, "what customers say; nobody has declared it yet", mesh.HTTP, 8080),
		service(shop.Payments, "charges customers", mesh.HTTP, 8080, shop.Ledger),
		orders,
		service(shop.Web, "the shop's front", mesh.HTTP, 8080, shop.Orders),
	}
}

func sampleInstances() []*instance {
	return []*instance{
		{service: shop.Web, id: "web-1"}, {service: shop.Web, id: "web-2"},
		{service: shop.Orders, id: "orders-1", version: "v1"}, {service: shop.Orders, id: "orders-2", version: "v2"},
		{service: shop.Payments, id: "payments-1"}, {service: shop.Payments, id: "payments-2"},
		{service: shop.Stock, id: "stock-1"}, {service: shop.Ledger, id: "ledger-1"}, {service: shop.Reviews, id: "reviews-1"},
	}
}

// open starts everything and returns when checkouts go their whole way. What it started is ended by close, also after an error.
func (t *town) open(ctx context.Context) error {
	t.instances = sampleInstances()
	t.authorizers = []*authorizer{{id: "authz-1"}, {id: "authz-2"}}
	if t.config.Once {
		t.spares = []*instance{{service: shop.Orders, id: "orders-3", version: "v1"}, {service: shop.Orders, id: "orders-4", version: "v1"}}
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	if err := t.startGateway(ctx); err != nil {
		return err
	}
	return t.firstCheckouts(ctx)
}

// start starts the control plane, the AuthZ services, the apps and their sidecars.
func (t *town) start(ctx context.Context) error {
	var err error
	if t.block, err = reservePorts(t.config.BasePort); err != nil {
		return err
	}
	if t.plane, err = newControlPlane(t.launch, t.config.Heddle, t.folder, t.block); err != nil {
		return err
	}
	began := time.Now()
	t.say("starting heddle server with its embedded etcd …")
	if err := t.plane.start(ctx); err != nil {
		return err
	}
	t.say("  ready after %s; declaring the services of the shop", stage.Since(began))
	if err := t.declare(ctx); err != nil {
		return err
	}
	began = time.Now()
	t.say("starting %d AuthZ services, which give callers tokens …", len(t.authorizers))
	if t.issuer, err = openIssuer(ctx, t.folder); err != nil {
		return err
	}
	if err := t.startAuthorizers(ctx); err != nil {
		return err
	}
	t.say("  ready after %s", stage.Since(began))
	if err := t.openApps(ctx); err != nil {
		return err
	}
	tokens, err := t.joinTokens(ctx)
	if err != nil {
		return err
	}
	t.say("starting %d Envoys, one beside each app (this takes longest) …", len(t.instances)+len(t.spares))
	began = time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	for _, i := range t.instances {
		group.Go(func() error { return i.runProxy(groupCtx, t, tokens[i.service]) })
	}
	for _, i := range t.spares {
		group.Go(func() error { return i.runEnvoy(groupCtx, t, tokens[i.service]) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	t.say("  all are ready after %s", stage.Since(began))
	return nil
}

// declare applies the declarations, and the route that leads to them from outside.
func (t *town) declare(ctx context.Context) error {
	for _, service := range declarations() {
		if _, err := t.plane.client.PutService(ctx, service); err != nil {
			return fmt.Errorf("declare %s: %w", service.Name, err)
		}
	}
	route := shopRoute()
	if before, err := t.plane.client.Route(ctx, route.Name); err == nil { // of a demo that had the same folder
		route.Meta = before.Meta
	}
	if _, err := t.plane.client.PutRoute(ctx, route); err != nil {
		return fmt.Errorf("declare the route %s: %w", route.Name, err)
	}
	return nil
}

// joinTokens gives a file with a join token for each service that has instances.
func (t *town) joinTokens(ctx context.Context) (files map[string]string, err error) {
	uses := map[string]int{}
	for _, i := range slices.Concat(t.instances, t.spares) {
		uses[i.service]++
	}
	files = map[string]string{}
	for service, n := range uses {
		if files[service], err = t.joinToken(ctx, mesh.Identity{Kind: mesh.ServiceIdentity, Name: mesh.ServiceName(service)}, n); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// joinToken gives a file with a token by which that many get their first certificates.
func (t *town) joinToken(ctx context.Context, of mesh.Identity, uses int) (file string, err error) {
	_, secret, err := t.plane.client.CreateJoinToken(ctx, of, "the demo", 0, uses)
	if err != nil {
		return "", fmt.Errorf("make a join token for %s: %w", of.Phrase(), err)
	}
	file = filepath.Join(t.folder, strings.ReplaceAll(of.String(), "/", "-")+".join")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("make a join token for %s: %w", of.Phrase(), err)
	}
	return file, nil
}

// identityFolder is where a proxy or an AuthZ service keeps its identity.
func (t *town) identityFolder(id string) string { return filepath.Join(t.folder, id+"-identity") }

// openApps runs the apps. They outlive ctx: a sidecar that drains needs its app.
func (t *town) openApps(ctx context.Context) error {
	appCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	t.endApps = end
	for _, i := range slices.Concat(t.instances, t.spares) {
		if err := i.takePorts(t.block); err != nil {
			return err
		}
		if err := i.serveApp(appCtx, &t.apps, t.fail); err != nil {
			return err
		}
		if i.service == shop.Web {
			t.fronts = append(t.fronts, newFront(i.id, i.service, address(i.appPort)))
		}
	}
	return nil
}

// firstCheckouts waits until checkouts go their whole way, many in a row.
func (t *town) firstCheckouts(ctx context.Context) error {
	const inARow = 10
	t.say("waiting for first checkouts through the whole mesh")
	return stage.Poll(ctx, 20*time.Second, "checkouts through the gateway", func(ctx context.Context) error {
		for range inARow {
			answer, err := t.gateway.front.ask(ctx, "/checkout")
			if err != nil {
				return err
			}
			if err := visited(&answer); err != nil {
				return err
			}
		}
		return nil
	})
}

// visited says whether an answer is that of a whole checkout for ada, each call of
// it with a token of its caller; nil means that it is.
func visited(answer *shop.Answer) error {
	if err := answer.Checkout(); err != nil {
		return err
	}
	if answer.Caller != "gateway/"+edge || answer.User != user {
		return fmt.Errorf("%s was called by %q for %q, as its token says", answer.Instance, answer.Caller, answer.User)
	}
	return answer.Proven()
}

// closing is the order in which all but the server end: callers before whom they
// call. Without a server they cannot tell anybody that they leave, and try to for
// some seconds: then all end at once.
func (t *town) closing() [][]child {
	tiers := make([][]child, 6)
	if t.gateway != nil {
		tiers[0] = []child{{"gateway", t.gateway.process}}
	}
	tier := map[string]int{shop.Web: 1, shop.Orders: 2, shop.Payments: 3, shop.Stock: 3, shop.Reviews: 3, shop.Ledger: 4}
	for _, i := range slices.Concat(t.instances, t.spares) {
		tiers[tier[i.service]] = append(tiers[tier[i.service]], child{i.id, i.process})
	}
	for _, a := range t.authorizers {
		tiers[5] = append(tiers[5], child{a.id, a.process})
	}
	if t.plane == nil || t.plane.process == nil || t.plane.process.Gone() {
		return [][]child{slices.Concat(tiers...)}
	}
	return tiers
}

// child is a process with its name; nil when it was not started.
type child struct {
	id      string
	process *stage.Process
}

// begun says whether there is something to stop.
func (t *town) begun() bool { return t.plane != nil && t.plane.process != nil }

// close ends everything that open started, in order, and returns when nothing
// is left of it, even when ctx has ended. The error says what had to be forced.
func (t *town) close(ctx context.Context) error {
	var forced []string
	var mu sync.Mutex // guards forced
	for _, tier := range t.closing() {
		var leaving []child
		var names []string
		for _, i := range tier {
			if i.process != nil {
				leaving, names = append(leaving, i), append(names, i.id)
			}
		}
		if len(leaving) == 0 {
			continue
		}
		t.say("  %s", strings.Join(names, ", "))
		var stopping sync.WaitGroup
		for _, i := range leaving {
			stopping.Go(func() {
				if !i.process.Stop(sidecarGrace, t.config.Hurry) && !t.hurried() {
					mu.Lock()
					defer mu.Unlock()
					forced = append(forced, i.id)
				}
			})
		}
		stopping.Wait()
	}
	if t.plane != nil && t.plane.process != nil {
		t.say("  server")
		if !t.plane.stop(t.config.Hurry) && !t.hurried() {
			forced = append(forced, "server")
		}
	}
	if t.endApps != nil {
		t.endApps()
	}
	t.apps.Wait()
	if t.issuer != nil {
		t.issuer.close(ctx)
	}
	for _, f := range t.fronts {
		f.close()
	}
	if t.gateway != nil && t.gateway.front != nil {
		t.gateway.front.close()
	}
	if t.block != nil {
		t.block.close()
	}
	var err error
	if len(forced) > 0 {
		err = fmt.Errorf("these did not end when asked, and were killed: %s", strings.Join(forced, ", "))
	}
	return errors.Join(err, t.nothingLeft(context.WithoutCancel(ctx)))
}

func (t *town) hurried() bool {
	select {
	case <-t.config.Hurry:
		return true
	default:
		return false
	}
}

// nothingLeft makes sure that no process of this demo is there any more.
func (t *town) nothingLeft(ctx context.Context) error {
	return stage.Poll(ctx, leftoverTime, "the demo's processes to be gone", func(context.Context) error {
		if left := stage.Leftovers(t.launch.EnvironmentMark()); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}
