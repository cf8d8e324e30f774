package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// kindsOfChange are what is changed at random, and how often.
var kindsOfChange = []struct {
	share  int
	change func(*churn)
}{
	{20, (*churn).moveRoutes},
	{8, (*churn).tuneTraffic},
	{4, (*churn).changeProtocol},
	{4, (*churn).toggleHealthCheck},
	{12, (*churn).addInstance},
	{12, (*churn).removeInstance},
	{10, (*churn).replaceInstance},
	{6, (*churn).weighInstance},
	{8, (*churn).changeHealth},
	{8, (*churn).toggleService},
	{8, (*churn).toggleInstance},
	{10, (*churn).toggleDependency},
	{4, (*churn).changeOwnDependencies},
	{3, (*churn).toggleStranger},
	{2, (*churn).changeRuntime},
}

// change makes one change, or two that belong together, and pauses.
func (c *churn) change() {
	total := 0
	for _, one := range kindsOfChange {
		total += one.share
	}
	drawn := c.random.IntN(total)
	for _, one := range kindsOfChange {
		if drawn -= one.share; drawn < 0 {
			one.change(c)
			break
		}
	}
	select {
	case <-time.After(time.Duration(c.random.Int64N(int64(c.config.pause)))):
	case <-c.ctx.Done():
	}
}

// send makes a write, and waits until it is acknowledged. While the server may
// go away it is sent again and again: each can be repeated.
func (c *churn) send(what string, write func(context.Context) error, done func()) {
	c.note("%s", what)
	end := time.Now().Add(deadline)
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 10*time.Second)
		err := write(ctx)
		cancel()
		kind := mesh.KindOf(err)
		if err == nil || tries > 1 && kind == mesh.KindNotFound { // it was deleted the first time
			break
		}
		if !c.config.outages || time.Now().After(end) || c.ctx.Err() != nil {
			c.fail("%s: %w", what, err)
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	c.changes.Add(1)
	done()
}

// declare writes a service; it must not be changed afterwards.
func (c *churn) declare(s mesh.Service) {
	done := c.model.service(s.Name, &s)
	text, err := json.Marshal(s)
	if err != nil {
		c.t.Error(err)
	}
	c.send("declare "+string(text), func(ctx context.Context) error {
		_, err := c.server.client.PutService(ctx, s)
		return err
	}, done)
}

func (c *churn) delete(name mesh.ServiceName) {
	done := c.model.service(name, nil)
	c.send("delete "+string(name), func(ctx context.Context) error { return c.server.client.ForceDeleteService(ctx, name, 0) }, done)
}

// declared gives a copy of a service as it is declared, nil if it is not.
func (c *churn) declared(name mesh.ServiceName) *mesh.Service {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	now := c.model.services[name].now()
	if now == nil {
		return nil
	}
	s := *now
	s.Dependencies = slices.Clone(s.Dependencies)
	return &s
}

// put registers an instance as it is given, anew if it is there.
func (c *churn) put(one mesh.Instance) {
	done := c.model.instance(one.Key(), &one)
	c.send(fmt.Sprintf("register %s weight=%d %s %v at port %d", one.Key(), one.Weight, one.Health, one.Locality, one.Port), func(ctx context.Context) error {
		list, err := c.server.client.Register(ctx, []mesh.Instance{one}, 24*time.Hour)
		if err == nil {
			c.epochs[one.Key()] = list[0].Epoch
		}
		return err
	}, done)
}

// register starts an application and registers it.
func (c *churn) register(name mesh.ServiceName, version string) {
	c.named++
	key := mesh.InstanceKey{Service: name, ID: mesh.InstanceID(fmt.Sprintf("%s-%d", version, c.named))}
	host, port, _ := net.SplitHostPort(c.backend(key).address)
	number, _ := strconv.Atoi(port)
	c.put(mesh.Instance{
		ID: key.ID, Service: name, Address: host, Port: mesh.Port(number), Weight: 1 + c.random.IntN(5), Health: mesh.Healthy,
		Labels: map[string]string{"version": version}, Locality: mesh.Locality{Region: "here", Zone: strconv.Itoa(c.random.IntN(2))},
	})
}

// deregister takes an instance away, which serves on for its grace.
func (c *churn) deregister(one *mesh.Instance) {
	key := one.Key()
	done := c.model.instance(key, nil)
	epoch, gone := c.epochs[key], c.backends[key]
	delete(c.epochs, key)
	delete(c.backends, key)
	c.send("deregister "+key.String(), func(ctx context.Context) error { return c.server.client.Deregister(ctx, key, epoch) }, done)
	c.retiring.Go(func() {
		<-time.After(grace)
		gone.stop()
	})
}

// instances lists the instances of a service that changes may touch: not those
// beside a sidecar, which registers them itself.
func (c *churn) instances(name mesh.ServiceName, subset string) []*mesh.Instance {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	return slices.DeleteFunc(c.model.registered(name, subset), func(i *mesh.Instance) bool { return c.epochs[i.Key()] == "" })
}

// anyOf draws one of a list.
func anyOf[T any](c *churn, list []T) T { return list[c.random.IntN(len(list))] }

// moveRoutes gives a stable service other rules, subsets and weights.
func (c *churn) moveRoutes() {
	s := c.declared(anyOf(c, stable))
	s.Routes = nil
	needed := map[string]bool{}
	for range c.random.IntN(4) {
		rule := mesh.RouteRule{Match: c.match()}
		for range c.random.IntN(3) {
			to := mesh.WeightedSubset{Subset: anyOf(c, versions), Weight: c.random.IntN(4)}
			if slices.ContainsFunc(rule.To, func(w mesh.WeightedSubset) bool { return w.Subset == to.Subset }) {
				continue
			}
			rule.To = append(rule.To, to)
			needed[to.Subset] = true
		}
		if !slices.ContainsFunc(rule.To, func(w mesh.WeightedSubset) bool { return w.Weight > 0 }) {
			rule.To = nil
		}
		if c.random.IntN(4) == 0 {
			rule.Mirror = &mesh.Mirror{Subset: anyOf(c, versions)}
			needed[rule.Mirror.Subset] = true
		}
		if c.random.IntN(5) == 0 {
			rule.Timeout = mesh.Duration(time.Duration(6+c.random.IntN(4)) * time.Second)
		}
		s.Routes = append(s.Routes, rule)
		if matchesAll(rule.Match) {
			break // a rule behind it would be refused
		}
	}
	s.Subsets = nil
	for _, version := range versions {
		if needed[version] || c.random.IntN(3) == 0 {
			s.Subsets = append(s.Subsets, mesh.Subset{Name: version, Labels: map[string]string{"version": version}})
		}
	}
	c.declare(*s)
}

func (c *churn) match() (m mesh.RequestMatch) {
	switch c.random.IntN(6) {
	case 0:
		m.Path = &mesh.PathMatch{Prefix: anyOf(c, []string{"/", "/a", "/b"})}
	case 1:
		m.Path = &mesh.PathMatch{Exact: anyOf(c, paths)}
	case 2:
		m.Headers = []mesh.HeaderMatch{{Name: "x-kind", Exact: "beta"}}
	case 3:
		m.Methods = []string{anyOf(c, []string{http.MethodGet, http.MethodPost})}
	case 4:
		m.Path = &mesh.PathMatch{Prefix: "/a"}
		m.Headers = []mesh.HeaderMatch{{Name: "x-kind", Exact: "beta"}}
	}
	return m
}

// tuneTraffic changes how calls to a stable service are treated.
func (c *churn) tuneTraffic() {
	s := c.declared(anyOf(c, stable))
	s.Traffic = mesh.Traffic{}
	switch c.random.IntN(6) {
	case 0:
		s.Traffic.LoadBalancing.Policy = anyOf(c, []mesh.Policy{mesh.RoundRobin, mesh.LeastRequest, mesh.Random, mesh.RingHash, mesh.Maglev})
	case 1:
		s.Traffic.Timeout = mesh.Duration(time.Duration(6+c.random.IntN(10)) * time.Second)
	case 2:
		s.Traffic.Retries = &mesh.Retries{Attempts: 1 + c.random.IntN(3), On: anyOf(c, [][]string{nil, {"5xx"}, {"gateway-error", "connect-failure", "refused-stream"}})}
	case 3:
		s.Traffic.CircuitBreaker = &mesh.CircuitBreaker{MaxRequests: 500 + c.random.IntN(500)}
	case 4:
		s.Traffic.OutlierDetection = &mesh.OutlierDetection{ConsecutiveErrors: 5 + c.random.IntN(5)}
	case 5:
		s.Traffic.LoadBalancing.LocalityWeights = []mesh.LocalityWeight{{Zone: "0", Weight: 1 + c.random.IntN(5)}, {Zone: "1", Weight: 1 + c.random.IntN(5)}}
	}
	c.declare(*s)
}

func (c *churn) changeProtocol() {
	s := c.declared(anyOf(c, stable))
	s.Protocol = map[mesh.Protocol]mesh.Protocol{mesh.HTTP: mesh.HTTP2, mesh.HTTP2: mesh.HTTP}[s.Protocol]
	c.declare(*s)
}

func (c *churn) toggleHealthCheck() {
	s := c.declared(anyOf(c, stable))
	if s.HealthCheck != nil {
		s.HealthCheck = nil
	} else {
		s.HealthCheck = &mesh.HealthCheck{Type: mesh.CheckHTTP, Interval: mesh.Duration(time.Second), Timeout: mesh.Duration(5 * time.Second)}
	}
	c.declare(*s)
}

// mostInstances bounds those of each version of a service.
const mostInstances = 3

func (c *churn) addInstance() {
	name, version := anyOf(c, stable), anyOf(c, versions)
	if len(c.instances(name, version)) < mostInstances {
		c.register(name, version)
	}
}

// spare gives an instance of a stable service, of a version that has another healthy one.
func (c *churn) spare() *mesh.Instance {
	name, version := anyOf(c, stable), anyOf(c, versions)
	all := c.instances(name, version)
	one := anyOf(c, all)
	for _, other := range all {
		if other.ID != one.ID && other.Health == mesh.Healthy {
			c.awaitChecked(one)
			return one
		}
	}
	return nil
}

// awaitChecked waits, if callers check the service's instances, until each has
// found well another one of the same version: Envoy sends nothing to an
// instance before, so whoever rolls a service over has to wait for it too.
func (c *churn) awaitChecked(leaving *mesh.Instance) {
	checks, others := c.model.checkedOthers(leaving)
	if !checks {
		return
	}
	c.await("another of "+leaving.Key().String()+"'s version to be found well", func() error {
		if err := c.accepted(); err != nil {
			return err
		}
		for _, one := range c.callers {
			if err := one.foundWell(leaving.Service, others); err != nil {
				return fmt.Errorf("%s: %w", one.instance(), err)
			}
		}
		return nil
	})
}

// await is eventually for the goroutine that makes the changes.
func (c *churn) await(what string, attempt func() error) {
	end := time.Now().Add(deadline)
	for c.ctx.Err() == nil {
		err := attempt()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.fail("%s: not within %s: %w", what, deadline, err)
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (c *churn) removeInstance() {
	if one := c.spare(); one != nil {
		c.deregister(one)
	}
}

// replaceInstance rolls an instance over, be it the only one of its version.
func (c *churn) replaceInstance() {
	name, version := anyOf(c, stable), anyOf(c, versions)
	old := anyOf(c, c.instances(name, version))
	c.register(name, version)
	c.awaitChecked(old)
	c.deregister(old)
}

func (c *churn) weighInstance() {
	one := *anyOf(c, c.instances(anyOf(c, stable), anyOf(c, versions)))
	one.Weight = 1 + c.random.IntN(20)
	c.put(one)
}

// changeHealth drains an instance that can be spared, or takes it back.
func (c *churn) changeHealth() {
	spare := c.spare()
	if spare == nil {
		return
	}
	one := *spare
	if one.Health == mesh.Healthy {
		one.Health = anyOf(c, []mesh.Health{mesh.Draining, mesh.Unhealthy})
	} else {
		one.Health = mesh.Healthy
	}
	done := c.model.instance(one.Key(), &one)
	c.send(fmt.Sprintf("set %s %s", one.Key(), one.Health), func(ctx context.Context) error {
		_, err := c.server.client.SetHealth(ctx, one.Key(), c.epochs[one.Key()], one.Health)
		return err
	}, done)
}

// toggleService declares a volatile service, or deletes it, whoever calls it
// and whatever instances it has.
func (c *churn) toggleService() {
	name := anyOf(c, volatile)
	if c.declared(name) != nil {
		c.delete(name)
		return
	}
	c.declare(service(string(name), anyOf(c, []mesh.Protocol{mesh.HTTP, mesh.HTTP2})))
}

// toggleInstance gives a volatile service an instance, or takes one away.
func (c *churn) toggleInstance() {
	name := anyOf(c, volatile)
	all := c.instances(name, "")
	if len(all) < 2 || len(all) < 4 && c.random.IntN(2) == 0 {
		c.register(name, "v1")
		return
	}
	c.deregister(anyOf(c, all))
}

// toggleDependency has a caller call a volatile service, or no more.
func (c *churn) toggleDependency() {
	s := c.declared(anyOf(c, []mesh.ServiceName{"web", "shop"}))
	s.Dependencies = toggled(s.Dependencies, anyOf(c, volatile))
	c.declare(*s)
}

// changeOwnDependencies changes what a stable service calls.
func (c *churn) changeOwnDependencies() {
	s := c.declared(anyOf(c, stable))
	s.Dependencies = toggled(s.Dependencies, anyOf(c, slices.Concat(stable, volatile)))
	c.declare(*s)
}

func toggled(list []mesh.ServiceName, name mesh.ServiceName) []mesh.ServiceName {
	if i := slices.Index(list, name); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return append(list, name)
}

// toggleStranger declares or deletes a service that nobody calls.
func (c *churn) toggleStranger() {
	name := mesh.ServiceName(fmt.Sprint("stranger-", c.random.IntN(3)))
	if c.declared(name) != nil {
		c.delete(name)
		return
	}
	c.declare(service(string(name), mesh.HTTP, anyOf(c, stable)))
}

func (c *churn) changeRuntime() {
	value := float64(c.random.IntN(100))
	c.send(fmt.Sprint("set the runtime key to ", value), func(ctx context.Context) error {
		_, err := c.server.client.PutRuntime(ctx, mesh.Runtime{Values: map[string]any{"heddle.test.churn": value}})
		return err
	}, func() {})
}
