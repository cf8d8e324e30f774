// Package hardening is what systemd keeps from the programs of all units that Heddle
// writes: those for machines, and the one of interception. A unit grants itself more, or
// less, by lines of its own after [Lines].
package hardening

// Lines are those of [Service], with what the program sees of users' folders
// (ProtectHome=): yes is nothing.
func Lines(home string) string {
	return `NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=` + home + `
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
`
}
