package main

import (
	"fmt"
	"strings"
)

// The kinds of objects as commands name them.
const (
	kindServices  = "services"
	kindInstances = "instances"
	kindRoutes    = "routes"
	kindRuntime   = "runtime"
)

// parseKind takes a kind in the plural, the singular or short.
func parseKind(word string) (string, error) {
	switch strings.ToLower(word) {
	case "services", "service", "svc":
		return kindServices, nil
	case "instances", "instance", "inst", "in":
		return kindInstances, nil
	case "routes", "route", "rt":
		return kindRoutes, nil
	case "runtime", "run":
		return kindRuntime, nil
	}
	return "", &usageError{message: fmt.Sprintf("unknown kind %q: use services, instances, routes or runtime", word)}
}
