package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
)

// The kinds of objects as commands name them.
const (
	kindServices  = "services"
	kindUpstreams = "upstreams" // services with endpoints of their own: DNS names or fixed addresses
	kindInstances = "instances"
	kindRoutes    = "routes"
	kindRuntime   = "runtime"
)

var kindWords = []string{"services", "service", "svc", "upstreams", "upstream", "up", "instances", "instance", "inst", "routes", "route", "rt", "runtime"} //nolint:gochecknoglobals // never changed

// parseKind takes a kind in the plural, the singular or short.
func parseKind(word string) (string, error) {
	switch strings.ToLower(word) {
	case "services", "service", "svc":
		return kindServices, nil
	case "upstreams", "upstream", "up":
		return kindUpstreams, nil
	case "instances", "instance", "inst":
		return kindInstances, nil
	case "routes", "route", "rt":
		return kindRoutes, nil
	case "runtime":
		return kindRuntime, nil
	}
	wanted := "use services, instances, routes, upstreams or runtime"
	if guess := didYouMean(word, slices.Clone(kindWords)); guess != "" {
		wanted = guess
	}
	return "", &cli.UsageError{Message: fmt.Sprintf("unknown kind %q: %s", word, wanted)}
}
