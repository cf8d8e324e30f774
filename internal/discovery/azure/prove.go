package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
)

// Azure leaves out of a list, and of Resource Graph's answers, what the caller may not read,
// as if it were not there. So a machine that was known and is not listed any more is asked
// for by its ID before it is taken for deleted: that Azure answers to who may read it alone,
// with 404 if it is gone. While no machine goes, this costs no call.

// The bounds of asking, of a subscription in one refresh.
const (
	mostOfAGroup = 10  // machines of a resource group that are asked for
	mostProofs   = 100 // scale sets and machines; the others stay until the next refresh
	mostDoubts   = 20  // of these, if there are any that have been doubted before
)

// nobody is the name of no machine. Who is told that it is not there may read those of its
// resource group.
const nobody = "heddle-asks-whether-it-may-read-here"

var (
	errThere = errors.New("it is there, although it is in no list: the list is not whole")
	errNoID  = errors.New("its ID in the mesh does not tell which resource it is, so Azure cannot be asked: if it is gone, forget its scope (heddle discovery forget SOURCE --scope SCOPE --force): what is there comes back when it is listed next")
	errLater = errors.New("more are missing than are asked for at once: it is asked for at the next refresh")
)

// prover asks for what is missing in a subscription.
type prover struct {
	clients
	left int // of mostProofs
	held map[string]error
}

// prove finds out which machines that are known and not listed any more may not be gone.
func (s *Source) prove(ctx context.Context, p *part, r recall) {
	if p.err != nil {
		return
	}
	missing, untold := p.missing(r)
	ask := prover{left: mostProofs, held: map[string]error{}}
	ask.hold(untold, errNoID)
	p.held = ask.held
	t := s.turnsOf(p.subscription.ID)
	fresh, doubted := t.order(missing)
	if len(missing) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	if ask.clients, p.err = s.clientsOf(p.subscription.ID); p.err != nil {
		return
	}
	if len(doubted) > 0 {
		ask.left -= mostDoubts
	}
	ask.all(ctx, fresh, missing, t)
	ask.left = mostDoubts
	t.next = ask.all(ctx, doubted, missing, t)
}

// all asks for what is missing of groups and sets, and gives the first that is put off.
func (p *prover) all(ctx context.Context, of []string, missing map[string][]string, t *turns) (putOff string) {
	for _, one := range of {
		ask := p.group
		if setOf(missing[one][0]) != "" {
			ask = p.set
		}
		if !ask(ctx, one, missing[one]) {
			p.hold(missing[one], cmp.Or(t.doubts[one], errLater))
			putOff = cmp.Or(putOff, one)
			continue
		}
		delete(t.doubts, one)
		for _, at := range missing[one] {
			if why := p.held[at]; why != nil {
				t.doubts[one] = why
				break
			}
		}
	}
	return putOff
}

// missing are the machines that are known and not listed any more, by resource group or
// uniform scale set, and those of which it is not told what they are. What was a set's, and
// the set's own list does not have, is gone.
func (p *part) missing(r recall) (missing map[string][]string, untold []string) {
	listed := make(map[string]bool, len(p.machines))
	for i := range p.machines {
		for _, name := range names(p.machines[i].id) {
			listed[name] = true
		}
	}
	missing = map[string][]string{}
	for _, scope := range p.subscription.scopes() {
		if p.hidden[scope] != nil {
			continue
		}
		for _, at := range r.missing(scope, listed) {
			set := setOf(at)
			_, told := idOf(r[at])
			switch {
			case !told:
				untold = append(untold, at)
			case set == "":
				missing[groupOf(at)] = append(missing[groupOf(at)], at)
			case !p.sets[set]:
				missing[set] = append(missing[set], at)
			}
		}
	}
	return missing, untold
}

// set asks for a uniform scale set's machines: that list is of one resource, and so given
// as a whole or refused. It says whether it has asked.
func (p *prover) set(ctx context.Context, set string, missing []string) bool {
	if p.left < 1 {
		return false
	}
	p.left--
	what := fmt.Sprintf("ask for the machines of scale set %s, which are not listed any more", nameOf(set))
	there := map[string]bool{}
	instances, err := pages(ctx, what, p.instances.NewListPager(groupOf(set), nameOf(set), nil), func(page armcompute.VirtualMachineScaleSetVMsClientListResponse) []*armcompute.VirtualMachineScaleSetVM {
		return page.Value
	})
	if err != nil && !notThere(err) {
		p.hold(missing, err)
		return true
	}
	for _, one := range instances {
		if one != nil {
			there[id(text(one.ID))] = true
		}
	}
	for _, at := range missing {
		if there[at] {
			p.hold([]string{at}, errThere)
		}
	}
	return true
}

// group asks for a resource group's machines. Of many some are asked for, and one that there
// is not, which has the right to read the group proven for all of them. It says whether it
// has asked.
func (p *prover) group(ctx context.Context, group string, missing []string) bool {
	asked, rest := missing, []string(nil)
	if len(missing) > mostOfAGroup {
		first := missing[0]
		name := first[:strings.LastIndex(first, "/")+1] + nobody
		asked, rest = append([]string{name}, missing[:mostOfAGroup-1]...), missing[mostOfAGroup-1:]
	}
	if p.left < len(asked) {
		return false
	}
	p.left -= len(asked)
	// The first alone: where it may not be read, the others are not asked for.
	doubt := p.machine(ctx, group, asked[0])
	if doubt != nil {
		p.left += len(asked) - 1
		p.hold(missing, doubt)
		return true
	}
	doubts := make([]error, len(asked))
	var asking sync.WaitGroup
	for i, at := range asked[1:] {
		asking.Go(func() { doubts[i+1] = p.machine(ctx, group, at) })
	}
	asking.Wait()
	for i, err := range doubts {
		if err != nil {
			doubt = err
			p.hold(asked[i:i+1], err)
		}
	}
	if doubt != nil {
		p.hold(rest, doubt)
	}
	return true
}

// machine asks for one: nil, if it is gone.
func (p *prover) machine(ctx context.Context, group, at string) error {
	_, err := p.machines.Get(ctx, group, nameOf(at), nil)
	switch {
	case err == nil:
		return errThere
	case notThere(err):
		return nil
	}
	return told(fmt.Sprintf("ask for the machine %s of resource group %s, which is not listed any more", nameOf(at), group), err)
}

func (p *prover) hold(ids []string, why error) {
	for _, at := range ids {
		p.held[at] = why
	}
}

// setOf is the uniform scale set of a machine's ID; "" if it is in none.
func setOf(at string) string {
	const kind = "/microsoft.compute/virtualmachinescalesets/"
	set, _, of := strings.Cut(at, "/virtualmachines/")
	if !of || !strings.Contains(set, kind) {
		return ""
	}
	return set
}

// notThere says whether what was asked for is not there, as Azure tells who may read it.
func notThere(err error) bool {
	answer := (*azcore.ResponseError)(nil)
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound &&
		(strings.HasSuffix(answer.ErrorCode, "ResourceNotFound") || answer.ErrorCode == "ResourceGroupNotFound" || answer.ErrorCode == "NotFound")
}
