// Package interceptcli is the command line of interception: heddle intercept ([Command]), which
// has the kernel redirect what the applications of a machine connect to, and the flags of those
// to whose proxy it is redirected, heddle proxy and heddle agent ([Flags], [DNSFlags]).
package interceptcli
