// Package health asks the services of a host whether they can serve, as their
// hosts.Service.Check says.
//
// Main types: a [Monitor] has what all checks share: its Wrap makes of a source of
// services one that gives the same services with their Health and the reason of it. A
// judge turns the outcomes of one service's checks into its health; it is pure.
//
// Data flow: a wrapped source has one goroutine that owns what is known of its services,
// and one for each service that is checked, which ends with it. What was found is handed
// on when it differs from what was handed on last, and not at each check.
package health
