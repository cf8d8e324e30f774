package intercept

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// madeChain stands in a table that was not there before our rules, where iptables sets
// them by nftables: the table, with the kernel's chains, goes with them.
const madeChain = "HEDDLE_MADE"

func (f Family) nft(table string) string { return f.word() + " " + table }

// marked has the rules note which of their tables they make.
func (k iptables) marked(ctx context.Context, f Family, rules string) string {
	if k.kind != "nft" || !found("nft") {
		return rules
	}
	tables, err := nftables{}.run(ctx, "", "list tables")
	if err != nil {
		return rules // they are tidied up less, and are as good
	}
	for _, t := range []table{natTable, mangleTable} {
		if !slices.Contains(strings.Split(tables, "\n"), "table "+f.nft(t.name)) {
			rules = strings.Replace(rules, "*"+t.name+"\n", "*"+t.name+"\n:"+madeChain+" - [0:0]\n", 1)
		}
	}
	return rules
}

// unmake takes away the tables that our rules made, of a saved family, if nobody else
// has put anything there.
func (k iptables) unmake(ctx context.Context, f Family, saved string) error {
	for _, t := range []table{natTable, mangleTable} {
		if !slices.ContainsFunc(lines(saved, t.name), declares(madeChain)) {
			continue
		}
		if err := k.restore(ctx, f, "*"+t.name+"\n-X "+madeChain+"\nCOMMIT\n"); err != nil {
			return err
		}
		if !found("nft") {
			continue
		}
		listed, err := nftables{}.run(ctx, "", "-j", "list table "+f.nft(t.name))
		if err != nil {
			return err
		}
		chains, empty := bareTable(listed)
		if !empty {
			continue
		}
		deletion := ""
		for _, chain := range chains { // refused, with all of it, if a rule has come meanwhile
			deletion += "delete chain " + f.nft(t.name) + " " + chain + "\n"
		}
		if _, err := (nftables{}).run(ctx, deletion+"delete table "+f.nft(t.name)+"\n", "-f", "-"); err != nil {
			k.log.Debug("a table that was made for the rules stays", "table", f.nft(t.name), "error", err)
		}
	}
	return nil
}

// bareTable gives the kernel's chains of a table as nft lists it, and whether there is
// nothing in it but those, letting all through.
func bareTable(listed string) (chains []string, empty bool) {
	var table struct {
		All []map[string]json.RawMessage `json:"nftables"`
	}
	if json.Unmarshal([]byte(listed), &table) != nil {
		return nil, false
	}
	for _, one := range table.All {
		for kind, data := range one {
			switch kind {
			case "metainfo", "table":
			case "chain":
				var chain struct{ Name, Hook, Policy string }
				if json.Unmarshal(data, &chain) != nil || chain.Hook == "" || chain.Policy != "accept" {
					return nil, false
				}
				chains = append(chains, chain.Name)
			default:
				return nil, false
			}
		}
	}
	return chains, true
}

// unknown says why it is not known what there is of IPv6.
func (k iptables) unknown(err error) string { return fmt.Sprintf("IPv6 of %s: %v", k.name(), err) }
