package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Digest tells settings, as YAML or JSON has them, from others. Secrets are in files, of
// which it has the names alone; of addresses the user and the values of the query, which
// can be secrets, are left out, so that nobody can try them out by it.
func Digest(settings any) string {
	text, err := json.Marshal(plain(settings))
	if err != nil { // of what YAML reads, a number that is none
		text = fmt.Append(nil, plain(settings))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// plain is what JSON can have, without secrets.
func plain(value any) any {
	switch one := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(one))
		for key, value := range one {
			out[key] = plain(value)
		}
		return out
	case map[any]any:
		out := make(map[string]any, len(one))
		for key, value := range one {
			out[fmt.Sprint(key)] = plain(value)
		}
		return out
	case []any:
		out := make([]any, len(one))
		for i, value := range one {
			out[i] = plain(value)
		}
		return out
	case string:
		return plainAddress(one)
	}
	return value
}

func plainAddress(text string) string {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" {
		return text
	}
	keys := slices.Sorted(maps.Keys(at.Query()))
	return fmt.Sprint((&url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}).String(), keys)
}

// Differences says how the sources in a server's settings differ from those of the one that
// refreshes them, which would be asked otherwise once another leads.
func Differences(server string, own []Source, roster *mesh.DiscoveryRoster) []mesh.DiscoveryConcern {
	if roster.Server == "" || roster.Server == server {
		return nil
	}
	var out []mesh.DiscoveryConcern
	say := func(source, how string) {
		out = append(out, mesh.DiscoveryConcern{Source: source, Server: server, Message: fmt.Sprintf("%s. Give all servers the same file (heddle server --discovery), and restart those whose file changes", how)})
	}
	left := map[string]bool{}
	for _, name := range roster.Sources {
		left[name] = true
	}
	for _, one := range own {
		there := roster.Digests[one.Name]
		switch {
		case !left[one.Name]:
			say(one.Name, fmt.Sprintf("the settings of server %s have it, and those of server %s, which refreshes the sources, do not: it is not asked", server, roster.Server))
		case there != "" && there != one.Digest:
			say(one.Name, fmt.Sprintf("its settings on server %s differ from those on server %s, which refreshes the sources: it would be asked otherwise if this server took over", server, roster.Server))
		}
		delete(left, one.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		say(name, fmt.Sprintf("the settings of server %s do not have it, and those of server %s, which refreshes the sources, do: nobody would ask it if this server took over", server, roster.Server))
	}
	return out
}
