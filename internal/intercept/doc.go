// Package intercept redirects the connections of a machine's applications to the
// proxy beside them, by rules of the kernel.
//
// Main types: [Config] (what is redirected, and what is left alone), of which [Table]
// makes a table as nft takes it and [Rules] the rules of one family of addresses as
// iptables-restore does, both pure, and [Kernel]. [Kernel.Install] has the kernel take
// them by one of the two, IPv4 and IPv6 together or not at all; [Kernel.Remove] takes
// them away; [Kernel.Show] compares what is there with what should be. Nothing stays
// running.
package intercept
