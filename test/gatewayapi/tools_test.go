//go:build tools

package gatewayapi_test

import _ "sigs.k8s.io/gateway-api/conformance/echo-basic" // built and run by the test
