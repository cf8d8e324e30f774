package proxy

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// mayBeTransparent says why Envoy could not take and make connections with others'
// addresses. It is given the capabilities that this process has as ambient ones.
func mayBeTransparent() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("try whether Envoy may: %w", err)
	}
	defer unix.Close(socket)
	err = unix.SetsockoptInt(socket, unix.SOL_IP, unix.IP_TRANSPARENT, 1)
	if err == nil && unix.Getuid() != 0 { // what is not ambient ends with this program
		var ambient int
		if ambient, err = unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_NET_ADMIN, 0, 0); err == nil && ambient == 0 {
			err = syscall.EPERM
		}
	}
	if errors.Is(err, syscall.EPERM) {
		return errors.New("this user may not take connections with others' addresses: tproxy needs the ambient capability NET_ADMIN, by AmbientCapabilities=CAP_NET_ADMIN of the unit or setpriv --inh-caps +net_admin --ambient-caps +net_admin")
	}
	return err
}
