package hosts

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What HAProxy's statistics are of.
const (
	ofBackends = 2
	ofServers  = 4
)

// stats asks the ingress host's HAProxy: rows by the names of their columns.
func (t *town) stats(ctx context.Context, of int) ([]map[string]string, error) {
	folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", t.ingress.ready.PID))
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", filepath.Join(folder, "master.sock"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "@1 show stat -1 %d -1\n", of); err != nil {
		return nil, err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return nil, err
	}
	lines := csv.NewReader(conn)
	lines.FieldsPerRecord = -1
	rows, err := lines.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read HAProxy's statistics: %w", err)
	}
	if len(rows) == 0 {
		return nil, errors.New("HAProxy has no statistics")
	}
	var list []map[string]string
	for _, row := range rows[1:] {
		one := map[string]string{}
		for i, name := range rows[0][:min(len(row), len(rows[0]))] {
			one[strings.TrimPrefix(name, "# ")] = row[i]
		}
		list = append(list, one)
	}
	return list, nil
}

// servers are those that the ingress host's HAProxy calls: "service address".
func (t *town) servers(ctx context.Context) (map[string]int, error) {
	list, err := t.stats(ctx, ofServers)
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, s := range list {
		_, service, _ := strings.Cut(s["pxname"], ".")
		address, _, _ := net.SplitHostPort(s["addr"]) // none: it was never there
		if s["status"] == "no check" || strings.HasPrefix(s["status"], "UP") {
			found[service+" "+address]++
		}
	}
	return found, nil
}

// redispatched is how many attempts it has made anew.
func (t *town) redispatched(ctx context.Context) (int, error) {
	list, err := t.stats(ctx, ofBackends)
	total := 0
	for _, b := range list {
		for _, column := range []string{"wretr", "wredis"} {
			n, _ := strconv.Atoi(b[column]) // some count none
			total += n
		}
	}
	return total, err
}
