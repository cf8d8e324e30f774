// Package intercept redirects the connections of a machine's applications to the
// sidecar beside them, by rules of the kernel's nat table.
//
// Main types: [Config] (what is redirected, and what is left alone), of which [Rules]
// makes the rules of one family of addresses as iptables-restore takes them, which
// is pure, and [Kernel]. [Kernel.Apply] has the kernel take them, IPv4 and
// IPv6 together or not at all; [Kernel.Undo] takes them away. Nothing stays running.
package intercept
