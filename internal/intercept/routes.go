package intercept

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Rules of routing and routes that are ours have this protocol, by which they are found
// again; nothing else is told by it (/etc/iproute2/rt_protos).
const routesProtocol = "237"

// rulePriority is before all that others set, save the table of this machine's own addresses.
const rulePriority = "133"

// steer is one thing of ours in the kernel's routing. An application answers its callers
// from loopback, where the sidecar called it in their names: the rule has such packets,
// which could go nowhere else, come to this machine whatever their address.
type steer struct {
	family Family
	port   string // of the application; "": it is the route
	table  string
}

func (s steer) String() string { return fmt.Sprintf("IPv%d %s", s.family, strings.Join(s.what(), " ")) }

func (s steer) what() []string {
	if s.port == "" {
		return []string{"route", "local", "default", "dev", "lo", "table", s.table}
	}
	return []string{"rule", "from", s.family.loopback(), "iif", "lo", "ipproto", "tcp", "sport", s.port, "lookup", s.table}
}

// words are the arguments of ip that add it or delete it.
func (s steer) words(verb string) []string {
	what := s.what()
	words := append([]string{fmt.Sprintf("-%d", s.family), what[0], verb}, what[1:]...)
	if s.port != "" {
		words = append(words, "priority", rulePriority)
	}
	return append(words, "protocol", routesProtocol)
}

// steers are those that the configuration needs: a route is there before what leads to it.
func (c Config) steers(families []Family) []steer {
	var all []steer
	if c.TProxy == nil {
		return nil
	}
	table := strconv.FormatUint(uint64(c.TProxy.Table), 10)
	for _, f := range families {
		all = append(all, steer{f, "", table})
		for _, port := range c.inbound() {
			all = append(all, steer{f, strconv.Itoa(int(port)), table})
		}
	}
	return all
}

// Routes are the commands that give TPROXY its routes, for both families or IPv4 alone.
func Routes(c Config, noIPv6 bool) string {
	families := []Family{IPv4, IPv6}
	if noIPv6 {
		families = families[:1]
	}
	text := ""
	for _, one := range c.steers(families) {
		text += "ip " + strings.Join(one.words("add"), " ") + "\n"
	}
	return text
}

// routing is how they reach the kernel: by ip, which has so long for each.
type routing struct{ limit time.Duration }

const ipLimit = 10 * time.Second

// listed is a rule or a route as ip tells it.
type listed struct {
	Protocol string      `json:"protocol"`
	Table    string      `json:"table"`
	Port     json.Number `json:"sport"`
	Dst      string      `json:"dst"`
}

// able says whether ip is that of iproute2: BusyBox's, for one, neither marks nor lists
// what is ours.
func (r routing) able(ctx context.Context) (bool, error) {
	if !found("ip") {
		return false, nil
	}
	said, err := r.run(ctx, "-V")
	if err != nil && !errors.As(err, new(*exec.ExitError)) { // it did not answer, which says nothing
		return false, err
	}
	return strings.Contains(said, "iproute2"), nil
}

func (r routing) run(ctx context.Context, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	command := exec.CommandContext(ctx, "ip", arguments...)
	var said bytes.Buffer
	command.Stderr, command.WaitDelay = &said, time.Second
	out, err := command.Output()
	switch {
	case err == nil:
		return string(out), nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("ip %s did not end in time: %w", strings.Join(arguments, " "), ctx.Err())
	case strings.Contains(said.String(), "FIB table does not exist"):
		return "", nil
	}
	return "", fault("ip "+strings.Join(arguments, " "), err, said.String())
}

func (r routing) list(ctx context.Context, f Family, what ...string) ([]listed, error) {
	text, err := r.run(ctx, append([]string{fmt.Sprintf("-%d", f), "-N", "-json"}, what...)...)
	if err != nil && strings.Contains(err.Error(), "not supported") {
		return nil, nil // a kernel without the family, or without rules of routing, has none
	}
	if err != nil || strings.TrimSpace(text) == "" {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read what ip says of %s: %w", strings.Join(what, " "), err)
	}
	return all, nil
}

// present are those of ours that the kernel has, a rule before the route that it leads to.
func (r routing) present(ctx context.Context) ([]steer, error) {
	if able, err := r.able(ctx); err != nil || !able {
		return nil, err // without it there never were any
	}
	var all []steer
	for _, f := range []Family{IPv4, IPv6} {
		rules, err := r.list(ctx, f, "rule", "show")
		if err != nil {
			return nil, err
		}
		for _, one := range rules {
			if one.Protocol == routesProtocol {
				all = append(all, steer{f, one.Port.String(), one.Table})
			}
		}
		routes, err := r.list(ctx, f, "route", "show", "table", "all", "protocol", routesProtocol)
		if err != nil {
			return nil, err
		}
		for _, one := range routes {
			all = append(all, steer{f, "", one.Table})
		}
	}
	return all, nil
}

// clash says what others have of the table.
func (r routing) clash(ctx context.Context, c Config, families []Family) error {
	var faults mesh.Faults
	table := strconv.FormatUint(uint64(c.TProxy.Table), 10)
	tell := func(what string) {
		faults.Add("tproxyTable", "%s has another's %s: give --tproxy-table a number that nothing else uses", table, what)
	}
	for _, f := range families {
		routes, err := r.list(ctx, f, "route", "show", "table", table)
		if err != nil {
			return err
		}
		for _, one := range routes {
			if one.Protocol != routesProtocol {
				tell(fmt.Sprintf("route of IPv%d to %s", f, one.Dst))
			}
		}
		rules, err := r.list(ctx, f, "rule", "show")
		if err != nil {
			return err
		}
		for _, one := range rules {
			if one.Protocol != routesProtocol && one.Table == table {
				tell(fmt.Sprintf("rule of IPv%d that leads to it", f))
			}
		}
	}
	return mesh.Invalid("bring the application's answers to the sidecar", faults)
}

// become has the kernel have these of ours, of which it has some, and no others. It stops
// at the first fault.
func (r routing) become(ctx context.Context, has, want []steer) error {
	for _, one := range want {
		if !slices.Contains(has, one) {
			if _, err := r.run(ctx, one.words("add")...); err != nil {
				return err
			}
		}
	}
	for _, one := range has {
		if !slices.Contains(want, one) {
			if _, err := r.run(ctx, one.words("del")...); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare has the kernel have what the rules need, beside what it has. finish takes away
// what they do not need any more, and undo what was not there before.
func (r routing) prepare(ctx context.Context, c Config, families []Family) (finish, undo func() error, err error) {
	has, err := r.present(ctx)
	if err != nil {
		return nil, nil, err
	}
	want := c.steers(families)
	if c.TProxy != nil {
		if able, err := r.able(ctx); err != nil || !able {
			return nil, nil, errors.Join(err, mesh.Unavailable(nil, "the program ip of iproute2 is not here (BusyBox's does not do), which sets routes for --mode tproxy: install it (Debian: apt-get install iproute2), or use --mode redirect"))
		}
		if err := r.clash(ctx, c, families); err != nil {
			return nil, nil, err
		}
	}
	all := slices.Clone(has)
	for _, one := range want {
		if !slices.Contains(has, one) {
			all = append(all, one)
		}
	}
	undo = func() error {
		ctx := context.WithoutCancel(ctx)
		now, err := r.present(ctx)
		if err == nil {
			err = r.become(ctx, now, has)
		}
		return err
	}
	if err := r.become(ctx, has, all); err != nil {
		return nil, nil, errors.Join(err, undo())
	}
	return func() error { return r.become(context.WithoutCancel(ctx), inOrder(all), want) }, undo, nil
}

// inOrder has rules before the routes that they lead to, to be taken away.
func inOrder(all []steer) []steer {
	return slices.SortedStableFunc(slices.Values(all), func(a, b steer) int { return -strings.Compare(a.port, b.port) })
}
