package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/present"
)

// content is what the page shows.
type content struct {
	Fleet             api.Fleet
	Filter            string
	Wrong             []wrong
	Tiles             []tile
	Members           []member
	Services          []service
	AllMembers, AllOf int // members and services without the filter
}

type tile struct{ Name, Number, More, Kind string }

type member struct {
	api.Member
	Self     bool
	Kind     string // of its chip
	Seen     string
	Services []string // names, each once
	Copies   int
}

type service struct {
	api.Service
	Kind, Said string
	Ports      string
	Copies     []copied
}

type copied struct {
	api.Copy
	Kind, Said string
	Addresses  []string
	Age        string
}

func contentOf(f api.Fleet, filter string, now time.Time) content {
	c := content{Fleet: f, Filter: filter, AllMembers: len(f.Members), Wrong: wrongOf(f, now)}
	shows := func(texts ...string) bool {
		return strings.Contains(strings.ToLower(strings.Join(texts, "\n")), strings.ToLower(strings.TrimSpace(filter)))
	}
	failed, copies, served := 0, 0, 0
	for _, m := range f.Members {
		one := memberOf(m, f.Host, now)
		if m.Status != api.MemberAlive {
			failed++
		}
		if shows(append(one.Services, m.Name, m.Address, m.Status)...) {
			c.Members = append(c.Members, one)
		}
	}
	services := f.Services()
	c.AllOf = len(services)
	down := 0
	for _, s := range services {
		copies, served = copies+len(s.Copies), served+s.Healthy
		if s.Healthy == 0 {
			down++
		}
		one := serviceOf(s, now)
		texts := []string{s.Name, string(s.MeshName), one.Ports, one.Said}
		for _, k := range one.Copies {
			texts = append(texts, k.Host, k.ID, k.Image, k.Said, k.Reason)
		}
		if shows(texts...) {
			c.Services = append(c.Services, one)
		}
	}
	worst := func(kind string) int { return slices.Index([]string{"bad", "warn", "ok"}, kind) }
	slices.SortStableFunc(c.Members, func(a, b member) int { return cmp.Compare(worst(a.Kind), worst(b.Kind)) })
	slices.SortStableFunc(c.Services, func(a, b service) int { return cmp.Compare(worst(a.Kind), worst(b.Kind)) })
	bad := len(c.Wrong)
	c.Tiles = []tile{
		{"Hosts", strconv.Itoa(len(f.Members) - failed), counted(failed, "all are there", "%d lost"), kindIf(failed > 0, "bad")},
		{"Services", strconv.Itoa(len(services)), counted(down, "all have a ready copy", "%d without a ready copy"), kindIf(down > 0, "bad")},
		{"Copies", strconv.Itoa(copies), counted(copies-served, "all are ready", "%d not ready"), kindIf(copies > served, "warn")},
		{"Problems", strconv.Itoa(bad), counted(bad, "nothing is wrong", "listed below"), kindIf(bad > 0, "warn")},
	}
	return c
}

func memberOf(m api.Member, self string, now time.Time) member {
	one := member{Member: m, Self: m.Name == self, Kind: "ok", Seen: present.Age(now.Sub(m.Seen)), Copies: len(m.Services)}
	if m.Status != api.MemberAlive {
		one.Kind = "bad"
	}
	known := map[string]bool{}
	for _, s := range m.Services {
		if !known[s.Name] {
			known[s.Name] = true
			one.Services = append(one.Services, s.Name)
		}
	}
	return one
}

func serviceOf(s api.Service, now time.Time) service {
	one := service{Service: s, Kind: "ok", Said: fmt.Sprintf("%d of %d", s.Healthy, len(s.Copies))}
	switch {
	case s.Healthy == 0:
		one.Kind = "bad"
	case s.Healthy < len(s.Copies), len(s.Problems) > 0:
		one.Kind = "warn"
	}
	var ports []string
	for _, p := range s.Ports {
		ports = append(ports, strconv.Itoa(int(p)))
	}
	one.Ports = strings.Join(ports, ", ")
	for _, c := range s.Copies {
		k := copied{Copy: c, Kind: kindOf(c.Health), Said: string(c.Health)}
		if c.Lost {
			k.Kind, k.Said = "bad", "host is lost"
		}
		since := c.Created
		if since.IsZero() {
			since = c.Updated
		}
		if !since.IsZero() {
			k.Age = present.Age(now.Sub(since))
		}
		for _, p := range c.Ports {
			address := c.Address
			if p.Address.IsValid() {
				address = p.Address
			}
			text := fmt.Sprintf("%s:%d", address, p.Port)
			if p.Type == "udp" {
				text += "/udp"
			}
			k.Addresses = append(k.Addresses, text)
		}
		one.Copies = append(one.Copies, k)
	}
	return one
}

func kindOf(h hosts.Health) string {
	switch h {
	case hosts.Healthy:
		return "ok"
	case hosts.Draining:
		return "info"
	case hosts.Unhealthy:
		return "bad"
	default:
		return "none"
	}
}

func counted(n int, none, some string) string {
	if n == 0 {
		return none
	}
	if strings.Contains(some, "%") {
		return fmt.Sprintf(some, n)
	}
	return some
}

func kindIf(is bool, kind string) string {
	if is {
		return kind
	}
	return "ok"
}
