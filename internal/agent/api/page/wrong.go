package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/present"
)

// wrong is one line of what somebody should look at first.
type wrong struct{ What, Where, Said, Kind string }

// wrongOf lists what is wrong: what concerns callers most comes first.
func wrongOf(f api.Fleet, now time.Time) []wrong {
	list := lostOf(f, now)
	var some []wrong
	for _, s := range f.Services() {
		switch {
		case s.Healthy == 0 && allLost(s):
			list = append(list, wrong{s.Name, "", "no copy is known to be ready: " + why(s) + "; what was lost of sight last is called until it is known to be gone", "bad"})
		case s.Healthy == 0:
			list = append(list, wrong{s.Name, "", "no copy is ready: " + why(s), "bad"})
		case s.Healthy < len(s.Copies):
			some = append(some, wrong{s.Name, "", fmt.Sprintf("%d of %d copies are ready: %s", s.Healthy, len(s.Copies), why(s)), "warn"})
		}
	}
	return slices.Concat(list, some, problemsOf(f))
}

// lostOf lists the hosts that are lost.
func lostOf(f api.Fleet, now time.Time) []wrong {
	var list []wrong
	for _, m := range f.Members {
		if m.Status == api.MemberAlive {
			continue
		}
		ran := "it ran nothing"
		if n := len(m.Services); n > 0 {
			ran = fmt.Sprintf("it ran %s", copies(n))
		}
		list = append(list, wrong{m.Name, "", fmt.Sprintf("this host has not answered for %s; %s", present.Age(now.Sub(m.Seen)), ran), "bad"})
	}
	if lost := len(list); lost > 1 && lost >= len(f.Members)-1 {
		list = slices.Insert(list, 0, wrong{f.Host, "", "this host reaches no other: perhaps it is the one that is cut off", "bad"})
	}
	return list
}

// allLost says whether nothing of a service is on a host that answers.
func allLost(s api.Service) bool {
	return !slices.ContainsFunc(s.Copies, func(c api.Copy) bool { return !c.Lost })
}

func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

// why says of the copies that are not ready, at most three, why not.
func why(s api.Service) string {
	const most = 3
	var list []string
	for _, c := range s.Copies {
		switch {
		case c.Lost:
			list = append(list, c.Host+" is lost")
		case c.Health == hosts.Healthy:
		case c.Reason != "":
			list = append(list, fmt.Sprintf("%s on %s (%s)", c.Health, c.Host, c.Reason))
		default:
			list = append(list, fmt.Sprintf("%s on %s", c.Health, c.Host))
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if more := len(list) - most; more > 0 {
		list = append(list[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

// problemsOf lists the problems, each once for all hosts that have it.
func problemsOf(f api.Fleet) []wrong {
	var list []wrong
	for _, p := range f.Problems {
		i := slices.IndexFunc(list, func(w wrong) bool { return w.What == p.About() && w.Said == p.Message })
		switch {
		case i < 0:
			list = append(list, wrong{p.About(), p.Host, p.Message, "warn"})
		case !slices.Contains(strings.Split(list[i].Where, ", "), p.Host):
			list[i].Where += ", " + p.Host
		}
	}
	return list
}
