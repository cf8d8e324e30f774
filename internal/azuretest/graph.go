package azuretest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"
)

// row is one of a table of Resource Graph, as JSON has it.
type row = map[string]any

// query answers as Resource Graph does: the part of its language that is understood is in
// kql.go, and what is not understood is refused.
func (a *Azure) query(_ context.Context, asked armresourcegraph.QueryRequest, _ *armresourcegraph.ClientResourcesOptions) (out fake.Responder[armresourcegraph.ClientResourcesResponse], failed fake.ErrorResponder) {
	var subscriptions []string
	for _, one := range asked.Subscriptions {
		subscriptions = append(subscriptions, *one)
	}
	type result struct {
		rows []row
		err  error
	}
	all := once(a, "", *asked.Query+strings.Join(subscriptions, ","), func() result {
		rows, err := run(*asked.Query, func(table string) []row { return a.table(table, subscriptions) })
		return result{rows, err}
	})
	rows := all.rows
	if all.err != nil {
		failed.SetError(all.err)
		return out, failed
	}
	a.mu.Lock()
	size := a.pageSize * 10
	a.mu.Unlock()
	page := 1
	if o := asked.Options; o != nil {
		if o.Top != nil {
			size = min(size, int(*o.Top))
		}
		if o.SkipToken != nil && *o.SkipToken != "" {
			page, _ = strconv.Atoi(*o.SkipToken)
		}
	}
	from := min((page-1)*size, len(rows))
	end := min(from+size, len(rows))
	answer := armresourcegraph.QueryResponse{
		Count: to.Ptr(int64(end - from)), TotalRecords: to.Ptr(int64(len(rows))), Data: rows[from:end],
		ResultTruncated: to.Ptr(armresourcegraph.ResultTruncatedFalse),
	}
	if end < len(rows) {
		answer.SkipToken = to.Ptr(strconv.Itoa(page + 1))
	}
	out.SetResponse(http.StatusOK, armresourcegraph.ClientResourcesResponse{QueryResponse: answer}, nil)
	return out, failed
}

// table gives the rows of a table that the caller may see. They are the caller's.
func (a *Azure) table(name string, subscriptions []string) []row {
	var out []row
	for _, one := range subscriptions {
		for _, r := range once(a, one, "table "+name, func() []row { return a.tableOf(name, one) }) {
			out = append(out, maps.Clone(r))
		}
	}
	return out
}

// tableOf gives those of a subscription.
func (a *Azure) tableOf(name, subscription string) []row {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []row
	add := func(subscription, in string, model any, change func(row)) {
		if !a.may(subscription, in) {
			return
		}
		text, err := json.Marshal(model)
		if err != nil {
			panic(err)
		}
		one := row{}
		if err := json.Unmarshal(text, &one); err != nil {
			panic(err)
		}
		one["subscriptionId"], one["resourceGroup"] = subscription, strings.ToLower(in)
		if kind, is := one["type"].(string); is {
			one["type"] = strings.ToLower(kind)
		}
		if change != nil {
			change(one)
		}
		if id, is := one["id"].(string); is && a.omit != nil && a.omit(Graph, strings.ToLower(id)) {
			return
		}
		out = append(out, one)
	}
	switch name {
	case "resources":
		a.resources(subscription, add)
	case "computeresources":
		a.computeResources(subscription, add)
	case "resourcecontainers":
		a.containers(subscription, add)
	}
	return out
}

// resources are those of the table of this name.
func (a *Azure) resources(subscription string, add func(string, string, any, func(row))) {
	for _, vm := range a.sortedVMs(subscription) {
		add(subscription, vm.Group, vm.model(false), extended(vm.Power))
		nics, public := interfaces(&vm, vm.id(), vm.nicID)
		for _, nic := range nics {
			add(subscription, groupOf(*nic.ID), nic, nil)
		}
		for _, ip := range public {
			add(subscription, groupOf(*ip.ID), ip, nil)
		}
	}
	for _, set := range a.sortedSets(subscription) {
		add(subscription, set.Group, set.model(), nil)
	}
}

// computeResources are what is in uniform scale sets.
func (a *Azure) computeResources(subscription string, add func(string, string, any, func(row))) {
	const kind = "microsoft.compute/virtualmachinescalesets/virtualmachines"
	for _, set := range a.sortedSets(subscription) {
		for i := range set.Instances {
			vm := &set.Instances[i]
			model := set.instance(vm)
			model.Properties.InstanceView = nil
			add(subscription, set.Group, model, extended(vm.Power))
			nics, public := interfaces(vm, set.instanceID(vm), func(j int) string { return set.nicID(vm, j) })
			for _, nic := range nics {
				add(subscription, set.Group, nic, func(r row) { r["type"] = kind + "/networkinterfaces" })
			}
			for _, ip := range public {
				add(subscription, set.Group, ip, func(r row) { r["type"] = kind + "/networkinterfaces/ipconfigurations/publicipaddresses" })
			}
		}
	}
}

// containers are the subscription, and its groups in which something is or that are shown.
func (a *Azure) containers(subscription string, add func(string, string, any, func(row))) {
	add(subscription, "", row{"id": "/subscriptions/" + subscription, "type": "microsoft.resources/subscriptions", "name": subscription}, nil)
	groups := map[string]bool{}
	for _, vm := range a.sortedVMs(subscription) {
		groups[strings.ToLower(vm.Group)] = true
	}
	for _, set := range a.sortedSets(subscription) {
		groups[strings.ToLower(set.Group)] = true
	}
	for shown := range a.groups {
		if in, name, is := strings.Cut(shown, "/"); is && strings.EqualFold(in, subscription) {
			groups[name] = true
		}
	}
	for name := range groups {
		add(subscription, name, row{"id": group(subscription, name), "type": "microsoft.resources/subscriptions/resourcegroups", "name": name}, nil)
	}
}

// extended adds what Resource Graph has of a machine's instance view.
func extended(power string) func(row) {
	return func(r row) {
		if power == "-" {
			return
		}
		properties, is := r["properties"].(row)
		if is {
			properties["extended"] = row{"instanceView": row{"powerState": row{"code": "PowerState/" + cmp.Or(power, "running")}}}
		}
	}
}

// groupOf takes a resource's group from its ID.
func groupOf(id string) string {
	parts := strings.Split(id, "/")
	at := slices.IndexFunc(parts, func(part string) bool { return strings.EqualFold(part, "resourceGroups") })
	return parts[at+1]
}
