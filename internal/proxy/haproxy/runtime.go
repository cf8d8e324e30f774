package haproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// askBound is how long HAProxy may take to answer: it does at once, or it hangs.
	askBound = 2 * time.Second
	// mostCommands bounds what is sent at once, by HAProxy's buffer of 16 KiB.
	mostCommands = 64
	// longestAnswer bounds, in bytes, what is read of one.
	longestAnswer = 1 << 20
)

// ask sends a line of commands to a socket of HAProxy's and gives all that it answers.
func ask(ctx context.Context, socket, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	// The master would wait for more.
	if half, ok := conn.(*net.UnixConn); ok {
		if err := half.CloseWrite(); err != nil {
			return "", err
		}
	}
	answer, err := io.ReadAll(io.LimitReader(conn, longestAnswer))
	return string(answer), err
}

// moved is what HAProxy says of a server's address that it has been given. A command that
// has no answer of its own is done when nothing is said.
var moved = regexp.MustCompile(`^(IP changed from |port changed from |no need to change the )`)

// send has HAProxy do commands. Done is only what it says that it has done: an error
// leaves open how far it came.
func send(ctx context.Context, socket string, list []command) error {
	for len(list) > 0 {
		part := list[:min(len(list), mostCommands)]
		list = list[len(part):]
		texts, due := make([]string, len(part)), 0
		for i, one := range part {
			texts[i] = one.text
			if one.answers {
				due++
			}
		}
		answer, err := ask(ctx, socket, strings.Join(texts, "; "))
		if err != nil {
			return fmt.Errorf("change the servers of HAProxy: %w", err)
		}
		for line := range strings.Lines(answer) {
			switch line = strings.TrimSpace(line); {
			case line == "":
			case moved.MatchString(line):
				due--
			default:
				return fmt.Errorf("change the servers of HAProxy (%s): it answers %q", strings.Join(texts, "; "), line)
			}
		}
		if due != 0 {
			return fmt.Errorf("change the servers of HAProxy (%s): it says nothing of %d of them", strings.Join(texts, "; "), due)
		}
	}
	return nil
}

// worker is a process of HAProxy's that serves, or finishes what it has.
type worker struct {
	pid int
	old bool
}

// processes is what the master says of itself.
type processes struct {
	workers []worker
	reloads int
	failed  int // how many reloads, since one did not
}

var masterLine = regexp.MustCompile(`^\d+\s+master\s+(\d+)(?:\s+\[failed: (\d+)\])?`)

// showProcesses asks the master which processes there are.
func showProcesses(ctx context.Context, socket string) (processes, error) {
	answer, err := ask(ctx, socket, "show proc")
	if err != nil {
		return processes{}, err
	}
	return parseProcesses(answer), nil
}

func parseProcesses(answer string) processes {
	var p processes
	old := false
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			old = strings.HasPrefix(line, "# old workers")
			continue
		}
		if m := masterLine.FindStringSubmatch(line); m != nil {
			p.reloads, _ = strconv.Atoi(m[1])
			p.failed, _ = strconv.Atoi(m[2])
			continue
		}
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "worker" {
			if pid, err := strconv.Atoi(fields[0]); err == nil {
				p.workers = append(p.workers, worker{pid, old})
			}
		}
	}
	return p
}

// active counts the requests and connections that are under way in all workers.
func active(ctx context.Context, socket string) (int, error) {
	all, err := showProcesses(ctx, socket)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, w := range all.workers {
		answer, err := ask(ctx, socket, fmt.Sprintf("@!%d show stat -1 2 -1", w.pid)) // backends
		if err != nil {
			return 0, err
		}
		sum += activeSessions(answer)
	}
	return sum, nil
}

// activeSessions adds up the column scur of HAProxy's statistics.
func activeSessions(answer string) int {
	column, sum := -1, 0
	for line := range strings.Lines(answer) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if strings.HasPrefix(line, "# ") {
			for i, name := range fields {
				if name == "scur" {
					column = i
				}
			}
			continue
		}
		if column > 0 && column < len(fields) {
			n, _ := strconv.Atoi(fields[column])
			sum += n
		}
	}
	return sum
}
