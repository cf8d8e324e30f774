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

	launch launcher
	block  *ports
	plane  *controlPlane

	instances []*instance // with sidecars run by `heddle proxy`
	spares    []*instance // with Envoys alone, registered in the scenario
	fronts    []*front    // into web's sidecars

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

// open starts everything and returns when a checkout goes its whole way from
// each of web's sidecars. What it started is ended by close, also after an error.
func (t *town) open(ctx context.Context) error {
	t.instances = sampleInstances()
	if t.config.Once {
		t.spares = []*instance{{service: shop.Orders, id: "orders-3", version: "v1"}, {service: shop.Orders, id: "orders-4", version: "v1"}}
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	return t.firstCheckouts(ctx)
}

// start starts the control plane, the apps and their sidecars.
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
	t.say("  ready after %s; declaring the services of the shop", since(began))
	tokens, err := t.declare(ctx)
	if err != nil {
		return err
	}
	if err := t.openApps(ctx); err != nil {
		return err
	}
	t.say("starting %d Envoys, one beside each app (the longest part: each is a program of 100 MB) …", len(t.instances)+len(t.spares))
	began = time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	for _, i := range t.instances {
		group.Go(func() error { return i.runProxy(groupCtx, t, tokens[i.service]) })
	}
	for _, i := range t.spares {
		group.Go(func() error { return i.runEnvoy(groupCtx, t) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	t.say("  all are ready after %s", since(began))
	return nil
}

// declare applies the declarations, and gives a file with a token of its own
// for each service, as its owner would have.
func (t *town) declare(ctx context.Context) (tokenFiles map[string]string, err error) {
	tokenFiles = map[string]string{}
	for _, service := range declarations() {
		if _, err := t.plane.client.PutService(ctx, service); err != nil {
			return nil, fmt.Errorf("declare %s: %w", service.Name, err)
		}
		_, secret, err := t.plane.client.CreateToken(ctx, service.Name, "the demo's sidecars")
		if err != nil {
			return nil, fmt.Errorf("make a token for %s: %w", service.Name, err)
		}
		file := filepath.Join(t.folder, string(service.Name)+"-token")
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("make a token for %s: %w", service.Name, err)
		}
		tokenFiles[string(service.Name)] = file
	}
	return tokenFiles, nil
}

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
			t.fronts = append(t.fronts, newFront(i.id, i.service, address(i.inbound)))
		}
	}
	return nil
}

func (t *town) firstCheckouts(ctx context.Context) error {
	t.say("waiting for a first checkout through the whole mesh")
	for _, f := range t.fronts {
		if err := poll(ctx, 20*time.Second, "a checkout through "+f.id, func(ctx context.Context) error {
			answer, err := f.ask(ctx, "/checkout")
			if err != nil {
				return err
			}
			return answer.Checkout()
		}); err != nil {
			return err
		}
	}
	return nil
}

// closing is the order in which sidecars end: callers before whom they call.
// Without a server they cannot tell anybody that they leave, and try to for
// some seconds: then all end at once.
func (t *town) closing() [][]string {
	if t.plane == nil || t.plane.process == nil || t.plane.process.gone() {
		return [][]string{{shop.Web, shop.Orders, shop.Payments, shop.Stock, shop.Reviews, shop.Ledger}}
	}
	return [][]string{{shop.Web}, {shop.Orders}, {shop.Payments, shop.Stock, shop.Reviews}, {shop.Ledger}}
}

// begun says whether there is something to stop.
func (t *town) begun() bool { return t.plane != nil && t.plane.process != nil }

// close ends everything that open started, in order, and returns when nothing
// is left of it, even when ctx has ended. The error says what had to be forced.
func (t *town) close(ctx context.Context) error {
	var forced []string
	var mu sync.Mutex // guards forced
	for _, tier := range t.closing() {
		var leaving []*instance
		var names []string
		for _, i := range slices.Concat(t.instances, t.spares) {
			if i.process != nil && slices.Contains(tier, i.service) {
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
				if !i.process.stop(sidecarGrace, t.config.Hurry) && !t.hurried() {
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
	for _, f := range t.fronts {
		f.close()
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
	return poll(ctx, leftoverTime, "the demo's processes to be gone", func(context.Context) error {
		if left := leftovers(t.launch.environmentMark()); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

func since(began time.Time) time.Duration { return time.Since(began).Round(10 * time.Millisecond) }
