package azure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"
)

// The types of what is queried, as Resource Graph writes them.
const (
	typeVM       = "microsoft.compute/virtualmachines"
	typeSet      = "microsoft.compute/virtualmachinescalesets"
	typeNIC      = "microsoft.network/networkinterfaces"
	typePublic   = "microsoft.network/publicipaddresses"
	typeInstance = typeSet + "/virtualmachines"
	typeInSetNIC = typeInstance + "/networkinterfaces"
	typeInSetIP  = typeInSetNIC + "/ipconfigurations/publicipaddresses"
	typeSub      = "microsoft.resources/subscriptions"
	typeGroup    = typeSub + "/resourcegroups"
)

// columns are what is taken of each: whole properties would be ten times as much.
const columns = ` | project id, type, name, location, zones, tags,` +
	` provisioning = tostring(properties.provisioningState), power = tostring(properties.extended.instanceView.powerState.code),` +
	` nics = properties.networkProfile.networkInterfaces, inSet = tostring(properties.virtualMachineScaleSet.id),` +
	` primary = tobool(properties.primary), configs = properties.ipConfigurations, address = tostring(properties.ipAddress)` +
	` | order by id asc`

// The bounds of a query's pages.
const (
	pageRows   = 1000 // Resource Graph's own bound
	mostPages  = 1000
	longestGap = 10 * time.Second // its quota is of 5 seconds
	mostAsked  = 300              // IDs in one query
)

// byGraph lists all subscriptions by one query and its pages.
func (s *Source) byGraph(ctx context.Context, subscriptions []Subscription, r recall) []part {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	all, err := s.graph(ctx, subscriptions, r)
	return each(subscriptions, func(one Subscription) (found, error) {
		if err != nil {
			return found{}, err
		}
		return within(all, one), nil
	})
}

// graph asks for everything, and again for what the pages may have missed.
func (s *Source) graph(ctx context.Context, subscriptions []Subscription, r recall) (map[string]*graphRow, error) {
	client, err := armresourcegraph.NewClient(s.login, s.options)
	if err != nil {
		return nil, err
	}
	q := querier{client: client}
	for _, one := range subscriptions {
		q.subscriptions = append(q.subscriptions, to.Ptr(one.ID))
	}
	rows := map[string]*graphRow{}
	if err := q.ask(ctx, "", everything(subscriptions), rows); err != nil {
		return nil, err
	}
	known, rest := s.knownOf(subscriptions, r)
	for batch := range slices.Chunk(missed(known, rows), mostAsked) {
		if err := q.ask(ctx, " again for what is missing", named(batch), rows); err != nil {
			return nil, err
		}
	}
	s.known = rest
	for id := range rows {
		s.known[id] = true
	}
	return rows, nil
}

// knownOf are the IDs that were there the last time in some subscriptions, or that the mesh
// has of them, and those in others, which rest: they are neither missed nor forgotten.
func (s *Source) knownOf(subscriptions []Subscription, r recall) (known, rest map[string]bool) {
	asked := map[string]bool{}
	for _, one := range subscriptions {
		asked[strings.ToLower(one.ID)] = true
	}
	isAsked := func(id string) bool {
		subscription, _, _ := strings.Cut(strings.TrimPrefix(id, "subscriptions/"), "/")
		return asked[subscription]
	}
	known, rest = map[string]bool{}, map[string]bool{}
	for id := range s.known {
		if isAsked(id) {
			known[id] = true
		} else {
			rest[id] = true
		}
	}
	for id, vm := range r {
		if _, told := idOf(vm); told && isAsked(id) {
			known[id] = true
		}
	}
	return known, rest
}

// missed are the IDs that were there the last time, or that others name, and that are not
// there now. A page begins at the row of a number: a row that is deleted while pages are
// read moves those behind it, and one of them is in no page. Those are asked for by name,
// so that a machine that runs is not taken for one that is gone.
func missed(known map[string]bool, rows map[string]*graphRow) []string {
	missing := map[string]bool{}
	miss := func(id string) {
		if id != "" && rows[id] == nil {
			missing[id] = true
		}
	}
	for id := range known {
		miss(id)
	}
	for at, row := range rows {
		miss(setOf(at))
		for _, nic := range row.NICs {
			miss(id(nic.ID))
		}
		for _, config := range row.Configs {
			miss(id(config.Properties.PublicIPAddress.ID))
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// everything is the query for all that is wanted of subscriptions, in their groups if
// each names some.
func everything(subscriptions []Subscription) string {
	groups, all := map[string]bool{}, false
	for _, one := range subscriptions {
		all = all || len(one.ResourceGroups) == 0
		for _, group := range one.ResourceGroups {
			groups[strings.ToLower(group)] = true
		}
	}
	where := ""
	if !all {
		where = " | where resourceGroup in~ (" + quoted(slices.Sorted(maps.Keys(groups))) + ")"
	}
	return "resources | where type in~ (" + quoted([]string{typeVM, typeSet, typeNIC, typePublic}) + ")" +
		" | union (computeresources | where type in~ (" + quoted([]string{typeInstance, typeInSetNIC, typeInSetIP}) + "))" +
		" | union (resourcecontainers | where type in~ (" + quoted([]string{typeSub, typeGroup}) + "))" + where + columns
}

// named is the query for some by their IDs.
func named(ids []string) string {
	for i, one := range ids {
		ids[i] = "/" + one
	}
	where := " | where id in~ (" + quoted(ids) + ")"
	return "resources" + where + " | union (computeresources" + where + ") | union (resourcecontainers" + where + ")" + columns
}

// quoted writes strings of the query language.
func quoted(of []string) string {
	out := make([]string, len(of))
	for i, one := range of {
		out[i] = "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(one) + "'"
	}
	return strings.Join(out, ", ")
}

// querier asks queries.
type querier struct {
	client        *armresourcegraph.Client
	subscriptions []*string
	pages         int
}

// ask reads all pages of a query.
func (q *querier) ask(ctx context.Context, again, query string, rows map[string]*graphRow) error {
	format, token := armresourcegraph.ResultFormatObjectArray, (*string)(nil)
	for range mostPages {
		var raw *http.Response
		answer, err := q.client.Resources(policy.WithCaptureResponse(ctx, &raw), armresourcegraph.QueryRequest{
			Query: &query, Subscriptions: q.subscriptions,
			Options: &armresourcegraph.QueryRequestOptions{ResultFormat: &format, Top: to.Ptr(int32(pageRows)), SkipToken: token},
		}, nil)
		if err != nil {
			return told("ask Resource Graph"+again, err)
		}
		q.pages++
		if err := take(&answer.QueryResponse, rows); err != nil {
			return err
		}
		if token = answer.SkipToken; text(token) == "" {
			if answer.ResultTruncated != nil && *answer.ResultTruncated == armresourcegraph.ResultTruncatedTrue {
				return errors.New("ask Resource Graph: it cut off its answer, and gives no way to the rest")
			}
			return nil
		}
		if err := pause(ctx, raw); err != nil {
			return err
		}
	}
	return fmt.Errorf("ask Resource Graph: there are more than %d pages", mostPages)
}

// pause waits for the next window if this one's quota is used up.
func pause(ctx context.Context, raw *http.Response) error {
	if raw == nil || raw.Header.Get("X-Ms-User-Quota-Remaining") != "0" {
		return nil
	}
	select {
	case <-time.After(min(window(raw.Header.Get("X-Ms-User-Quota-Resets-After")), longestGap)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
