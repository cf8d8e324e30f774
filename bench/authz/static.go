package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// object is one of JSON.
type object = map[string]any

// dump is what counts here of Envoy's /config_dump.
type dump struct {
	Configs []struct {
		Clusters []struct {
			Cluster object `json:"cluster"`
		} `json:"dynamic_active_clusters"`
		Listeners []struct {
			Active struct {
				Listener object `json:"listener"`
			} `json:"active_state"`
		} `json:"dynamic_listeners"`
		Filters []struct {
			Filter struct {
				Name   string `json:"name"`
				Config object `json:"typed_config"`
			} `json:"ecds_filter"`
		} `json:"ecds_filters"`
	} `json:"configs"`
}

// static makes a bootstrap of what a sidecar has been sent: its inbound listener, at
// another port, with the discovered filters that keeps begins, and its cluster.
func static(data []byte, port string, keeps []string) ([]byte, error) {
	var from dump
	if err := json.Unmarshal(data, &from); err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	filters := map[string]object{}
	var inbound, cluster object
	for _, config := range from.Configs {
		for _, one := range config.Filters {
			filters[one.Filter.Name] = one.Filter.Config
		}
		for _, one := range config.Listeners {
			if name, _ := one.Active.Listener["name"].(string); strings.HasPrefix(name, "inbound.") {
				inbound = one.Active.Listener
			}
		}
		for _, one := range config.Clusters {
			if name, _ := one.Cluster["name"].(string); strings.HasPrefix(name, "app.") {
				cluster = one.Cluster
			}
		}
	}
	if inbound == nil || cluster == nil {
		return nil, errors.New("the sidecar has no inbound listener with a cluster")
	}
	delete(inbound, "@type")
	delete(cluster, "@type")
	inbound["address"] = object{"socket_address": object{"address": "127.0.0.1", "port_value": number}}
	config := inline(object{"listener": inbound, "cluster": cluster}, filters, keeps).(object)
	return json.Marshal(object{
		"node":             object{"id": "alike", "cluster": "alike"},
		"admin":            object{"address": object{"socket_address": object{"address": "127.0.0.1", "port_value": 0}}},
		"static_resources": object{"listeners": []any{config["listener"]}, "clusters": []any{config["cluster"]}},
	})
}

// inline puts what is fetched over ADS into the configuration itself: filters, and
// the roots of the mesh, which are in a file too.
func inline(v any, filters map[string]object, keeps []string) any {
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, one := range v {
			fields, _ := one.(object)
			if name, _ := fields["name"].(string); fields["config_discovery"] != nil {
				if !slices.ContainsFunc(keeps, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
					continue
				}
				one = object{"name": name, "typed_config": filters[name]}
			}
			out = append(out, inline(one, filters, keeps))
		}
		return out
	case object:
		if v["name"] == "trust.mesh" {
			return object{"name": "bundle", "sds_config": object{"path_config_source": object{"path": "identity/envoy-bundle.json"}}}
		}
		if !slices.Contains(keeps, "token.") {
			if plain, is := withoutToken(v); is {
				return plain
			}
		}
		out := object{}
		for key, one := range v {
			out[key] = inline(one, filters, keeps)
		}
		return out
	default:
		return v
	}
}

// withoutToken takes the caller's token out of what says whether it may call.
func withoutToken(v object) (any, bool) {
	if both, is := v["and_ids"].(object); is {
		return both["ids"].([]any)[0], true // the caller's certificate; the second is its token
	}
	nested, _ := v["matcher"].(object)
	list, _ := nested["matcher_list"].(object)
	passes, is := list["matchers"].([]any)
	if !is {
		return nil, false
	}
	return passes[0].(object)["on_match"], true
}
