package proxy

import "testing"

// A service may be called as the mark of the listener beside its own is.
func TestListenersOfIPv6(t *testing.T) {
	for name, want := range map[string]bool{
		"inbound.web": false, "inbound.web.0123456789abcdef": false, "inbound.web.0123456789abcdef.ipv6": true,
		"inbound.ipv6": false, "inbound.ipv6.0123456789abcdef": false, "inbound.ipv6.0123456789abcdef.ipv6": true,
		"outbound.web.0123456789abcdef.ipv6": false,
	} {
		if got := isInbound6(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
