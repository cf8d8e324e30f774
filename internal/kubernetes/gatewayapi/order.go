package gatewayapi

import (
	"iter"
	"maps"
	"strings"
)

func mapKeys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }

func lower[T ~string](s T) T { return T(strings.ToLower(string(s))) }
