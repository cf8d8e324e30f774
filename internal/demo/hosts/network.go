package hosts

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// network is a network namespace.
type network struct{ file *os.File }

// path is its file, as long as this process lives.
func (n *network) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// ip runs commands of ip(8) in the namespace, a line each.
func (n *network) ip(ctx context.Context, lines ...string) error {
	command := exec.CommandContext(ctx, "nsenter", "--net="+n.path(), "ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("wire a network: %w: %s", err, output)
	}
	return nil
}

// dial connects from inside to an address; names are not looked up there.
func (n *network) dial(ctx context.Context, kind, address string) (conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	err = n.inside(func() error {
		conn, err = dialer.DialContext(ctx, kind, address)
		return err
	})
	return conn, err
}

func (n *network) close() {
	_ = n.file.Close() // it was only held
}
