package ui

import "github.com/heddle-mesh/heddle/internal/server/ui/form"

// trafficFields is how callers' sidecars treat calls to a service.
func trafficFields() form.Item {
	return form.Item{Kind: form.Section, Path: "traffic", Label: "Traffic", Hint: "How callers' sidecars treat calls to it. What is empty keeps its default.", Items: []form.Item{
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Duration, Path: "timeout", Label: "Timeout", Example: "15s", Hint: "For a whole request with its retries; grpc has none by default."},
			{Kind: form.Duration, Path: "connectTimeout", Label: "Timeout of a connection", Example: "1s"},
			{Kind: form.Duration, Path: "idleTimeout", Label: "Timeout without a byte", Example: "5m", Hint: "Of a stream; tcp: 1h."},
		}},
		{Kind: form.Flag, Path: "noTimeout", Label: "No bound on a whole request: for streams and long polls"},
		{Kind: form.Text, Path: "hostHeader", Label: "Host header", Hint: "Sent to the service instead of the caller's. Default: the caller's."},
		retryFields("Retry otherwise than by default (2 more, when the request did not reach the service)"),
		{Kind: form.Section, Path: "loadBalancing", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Choice, Path: "policy", Label: "Load balancing", Choices: options("", "Default: roundRobin", "roundRobin", "roundRobin: one after the other", "leastRequest", "leastRequest: the least busy of two",
					"random", "random", "ringHash", "ringHash: by a header or address", "maglev", "maglev: by a header or address")},
				{Kind: form.Text, Path: "hashHeader", Label: "Header that picks the instance", Hint: "For ringHash and maglev. Default: the caller's address."},
			}},
			{Kind: form.List, Path: "localityWeights", Label: "Shares by region and zone", One: "Locality", Hint: "A locality that is not named has weight 1.", Items: []form.Item{
				{Kind: form.Group, Items: []form.Item{
					{Kind: form.Text, Path: "region", Label: "Region", Hint: "Empty: any."},
					{Kind: form.Text, Path: "zone", Label: "Zone", Hint: "Empty: any."},
					{Kind: form.Whole, Path: "weight", Label: "Weight", Needed: true},
				}},
			}},
		}},
		{Kind: form.Optional, Path: "circuitBreaker", Label: "Circuit breaker: limits of each sidecar, above which calls get 503 at once", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Whole, Path: "maxConnections", Label: "Connections", Example: "1024"},
				{Kind: form.Whole, Path: "maxPendingRequests", Label: "Waiting requests", Example: "1024"},
				{Kind: form.Whole, Path: "maxRequests", Label: "Requests under way", Example: "1024"},
				{Kind: form.Whole, Path: "maxRetries", Label: "Retries under way", Hint: "Default: as many as requests under way; a fifth of them where retries have conditions of their own."},
			}},
		}},
		{Kind: form.Optional, Path: "outlierDetection", Label: "Outlier detection: rest instances that keep failing", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Whole, Path: "consecutiveErrors", Label: "Errors in a row", Example: "5"},
				{Kind: form.Duration, Path: "interval", Label: "Look every", Example: "10s"},
				{Kind: form.Duration, Path: "baseEjectionTime", Label: "Rest for", Example: "30s", Hint: "Longer each time."},
				{Kind: form.Whole, Path: "maxEjectionPercent", Label: "At most, percent", Example: "50"},
			}},
		}},
		{Kind: form.Optional, Path: "tls", Label: "TLS to a service outside the mesh (dns or static instances)", Items: []form.Item{
			{Kind: form.Group, Items: []form.Item{
				{Kind: form.Text, Path: "sni", Label: "Server name", Hint: "Sent and verified. Default: the DNS host."},
				{Kind: form.Choice, Path: "minVersion", Label: "TLS from", Choices: options("", "Default: 1.2", "1.2", "1.2", "1.3", "1.3")},
			}},
			{Kind: form.Lines, Path: "subjectAltNames", Label: "Names in its certificate", Hint: "One a line. Default: the server name."},
			{Kind: form.Area, Path: "ca", Label: "Trusted certificates", Example: "-----BEGIN CERTIFICATE-----", Hint: "PEM. Default: those of the sidecar's machine."},
		}},
	}}
}

// retryFields is when a failed attempt is made again.
func retryFields(label string) form.Item {
	return form.Item{Kind: form.Optional, Path: "retries", Label: label, Items: []form.Item{
		{Kind: form.Group, Items: []form.Item{
			{Kind: form.Whole, Path: "attempts", Label: "Attempts after the first", Needed: true, Hint: "0: none."},
			{Kind: form.Duration, Path: "perTryTimeout", Label: "Timeout of one attempt", Hint: "Default: that of the request."},
		}},
		{Kind: form.Checks, Path: "on", Label: "When", Hint: "None: only what never reached the service.", Choices: options(
			"5xx", "5xx", "gateway-error", "gateway-error", "reset", "reset", "reset-before-request", "reset-before-request", "connect-failure", "connect-failure",
			"envoy-ratelimited", "envoy-ratelimited", "retriable-4xx", "retriable-4xx", "refused-stream", "refused-stream", "http3-post-connect-failure", "http3-post-connect-failure",
			"cancelled", "gRPC cancelled", "deadline-exceeded", "gRPC deadline-exceeded", "internal", "gRPC internal", "resource-exhausted", "gRPC resource-exhausted", "unavailable", "gRPC unavailable")},
	}}
}
