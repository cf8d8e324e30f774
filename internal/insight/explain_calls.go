package insight

import (
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// lately is how old what became of a call may be to say something of the next.
	lately = time.Hour
	// unsettled is for how long after a change calls may still be of before: until it is
	// with the proxies, and their reports are here.
	unsettled = 5 * time.Second
)

// calls looks at what became of the calls that proxies told of, whatever they asked
// for: the one thing that tells whether the called program answers.
func (i *inquiry) calls() mesh.ExplainedStep {
	from, to := i.out.From, i.out.To
	if i.Seen == nil {
		return ok("no proxy reports to this server what becomes of calls: whether the program of %q answers is not known.", to)
	}
	e, is := i.Seen(from, string(to))
	if !is || e.LastSeen.IsZero() {
		return ok("no call of %s to %q has been seen yet: whether its program answers is not known.", from, to)
	}
	changed := i.changed()
	tells := func(at time.Time) bool {
		return at.After(e.LastAnswered) && at.Sub(changed) > unsettled && i.Now.Sub(at) <= lately
	}
	evidence := mesh.ExplainedEvidence{Object: "calls of " + from + " to " + string(to), Says: fmt.Sprintf("%d, of which %d failed and %d were refused", e.Requests, e.Errors, e.Refused)}
	switch {
	case tells(e.LastFailed) && arrived(e.Failure):
		return because(warns(i.looks(), "the last call that was seen, %s ago, arrived, and was answered with %s.", ago(i.Now, e.LastFailed), e.Failure), evidence)
	case tells(e.LastFailed):
		return because(doubts(i.looks(), "the last call that was seen, %s ago, failed: its caller saw %s.", ago(i.Now, e.LastFailed), failureWords(e.Failure)), evidence)
	case i.enforced() && tells(e.LastRefused):
		return because(doubts(i.looks(), "the last call that was seen, %s ago, was refused (%s), and nothing that is declared has changed since.", ago(i.Now, e.LastRefused), e.Reason), evidence)
	case e.ErrorRate > 0 && !arrived(e.Failure) && e.LastFailed.Sub(changed) > unsettled && e.LastAnswered.Sub(e.LastFailed) <= together:
		return because(doubts(i.looks(), "%.3g %% of the calls of the last minute failed: the last of those callers saw %s.", 100*e.ErrorRate/max(e.RequestRate, e.ErrorRate), failureWords(e.Failure)), evidence)
	case e.LastAnswered.IsZero():
		return because(ok("no call of %s to %q has been seen since that was answered: whether its program answers is not known.", from, to), evidence)
	}
	return because(ok("%q answered %s last %s ago.", to, from, ago(i.Now, e.LastAnswered)), evidence)
}

// looks is where to look for why a program does not answer.
func (i *inquiry) looks() string {
	return command("heddle get instances", string(i.out.To), "-o", "wide")
}

// arrived says whether an error is the called program's own answer.
func arrived(failure string) bool {
	status := strings.TrimPrefix(failure, mesh.FailureGRPC)
	return status != "" && strings.Trim(status, "0123456789") == ""
}

// failureWords say what an error means, as far as its reason tells.
func failureWords(failure string) string {
	number, is := strings.CutPrefix(failure, mesh.FailureGRPC)
	status, reason, _ := strings.Cut(number, " ")
	if is {
		status = mesh.FailureGRPC + status
	}
	switch {
	case failure == "":
		return "an error"
	case failure == "no-connection":
		return "no connection"
	case reason == "unreached":
		return status + ", x-heddle-reason: unreached: the sidecar was there, and the program behind it was not"
	case reason == "no-answer":
		return status + ", for nobody answered its proxy"
	}
	return status + ", x-heddle-reason: " + reason
}

// changed is when what decides on the call was changed last.
func (i *inquiry) changed() time.Time {
	var last time.Time
	note := func(m mesh.Meta) {
		if m.UpdatedAt.After(last) {
			last = m.UpdatedAt
		}
	}
	note(i.callee.Meta)
	if i.caller != nil {
		note(i.caller.Meta)
	}
	if i.gateway != "" {
		for _, route := range i.View.RoutesTo(i.out.To) {
			note(route.Meta)
		}
	}
	for _, one := range i.View.Instances(i.out.To) {
		note(one.Meta)
	}
	return last
}
