package azure

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"
)

// graphRow is a row of the query.
type graphRow struct {
	ID           string            `json:"id"`
	Type         string            `json:"type"`
	Name         string            `json:"name"`
	Location     string            `json:"location"`
	Zones        []string          `json:"zones"`
	Tags         map[string]string `json:"tags"`
	Provisioning string            `json:"provisioning"`
	Power        string            `json:"power"`
	NICs         []struct {
		ID         string `json:"id"`
		Properties struct {
			Primary bool `json:"primary"`
		} `json:"properties"`
	} `json:"nics"`
	InSet   string `json:"inSet"`
	Primary bool   `json:"primary"`
	Configs []struct {
		Properties struct {
			Primary          bool   `json:"primary"`
			PrivateIPAddress string `json:"privateIPAddress"`
			PublicIPAddress  struct {
				ID string `json:"id"`
			} `json:"publicIPAddress"`
		} `json:"properties"`
	} `json:"configs"`
	Address string `json:"address"`
}

// take reads the rows of a page.
func take(answer *armresourcegraph.QueryResponse, rows map[string]*graphRow) error {
	text, err := json.Marshal(answer.Data)
	if err != nil {
		return fmt.Errorf("ask Resource Graph: its answer cannot be read: %w", err)
	}
	var page []*graphRow
	if err := json.Unmarshal(text, &page); err != nil {
		return fmt.Errorf("ask Resource Graph: its answer cannot be read: %w", err)
	}
	if answer.Count == nil || *answer.Count != int64(len(page)) {
		return errors.New("ask Resource Graph: its answer has not the rows that it says it has")
	}
	for _, row := range page {
		if row == nil || row.ID == "" {
			return errors.New("ask Resource Graph: its answer has a row without an id")
		}
		row.Type = strings.ToLower(row.Type)
		rows[id(row.ID)] = row
	}
	return nil
}

// within takes what is in a subscription. Who may not see a scope is told by Resource Graph
// that it is empty: only one that is itself there is believed to be.
func within(rows map[string]*graphRow, subscription Subscription) found {
	out := found{nics: map[string]nic{}, public: map[string]string{}, hidden: map[string]error{}}
	prefix := "subscriptions/" + strings.ToLower(subscription.ID) + "/"
	for at, row := range rows {
		if !strings.HasPrefix(at, prefix) {
			continue
		}
		switch row.Type {
		case typeVM, typeInstance:
			if set := setOf(at); set != "" && rows[set] == nil {
				continue // what it runs is not known without the set's tags: it is not listed
			}
			out.machines = append(out.machines, row.machine(at, rows))
		case typeNIC, typeInSetNIC:
			out.nics[at] = row.nic()
		case typePublic, typeInSetIP:
			out.public[at] = row.Address
		}
	}
	slices.SortFunc(out.machines, func(a, b machine) int { return strings.Compare(a.id, b.id) })
	for _, scope := range subscription.scopes() {
		if rows[scope] == nil {
			out.hidden[scope] = fmt.Errorf("ask Resource Graph: %s is not among what it shows: it does not exist, or the identity lacks the role Reader there (a new role takes minutes to count)", scope)
		}
	}
	return out
}

// machine reads a machine, of its own or of a uniform scale set, whose tags it has then
// unless it has others.
func (r *graphRow) machine(at string, rows map[string]*graphRow) machine {
	m := machine{id: at, name: r.Name, region: r.Location, tags: r.Tags, power: code(r.Power, "powerstate"), provisioning: strings.ToLower(r.Provisioning)}
	if len(r.Zones) > 0 {
		m.zone = r.Zones[0]
	}
	for _, nic := range r.NICs {
		m.nics = append(m.nics, nicRef{id: id(nic.ID), primary: nic.Properties.Primary})
	}
	m.scaleSet = nameOf(r.InSet)
	if set := setOf(at); set != "" {
		row := rows[set]
		m.scaleSet, m.set, m.tags = row.Name, row.Tags, inherited(row.Tags, m.tags)
	}
	return m
}

func (r *graphRow) nic() nic {
	out := nic{primary: r.Primary}
	for _, one := range r.Configs {
		out.configs = append(out.configs, ipConfig{
			private: one.Properties.PrivateIPAddress, primary: one.Properties.Primary, public: id(one.Properties.PublicIPAddress.ID),
		})
	}
	return out
}
