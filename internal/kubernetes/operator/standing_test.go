package operator

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// What answers say of a token: a read that needs none clears no refusal of a write.
func TestStanding(t *testing.T) {
	for name, c := range map[string]struct {
		answers string // "METHOD status", in order
		denied  bool
		told    int
	}{
		"nothing yet":                     {"", false, 0},
		"a write is refused":              {"PUT 401", true, 1},
		"a read that needs no token":      {"PUT 401,GET 200", true, 1},
		"a write is taken":                {"PUT 401,GET 200,POST 201", false, 1},
		"a write that may not":            {"PUT 401,PUT 403", false, 1},
		"the server fails":                {"PUT 401,PUT 503", true, 1},
		"a read is refused":               {"GET 401,GET 200", false, 1},
		"both are refused":                {"GET 401,PUT 401,GET 200", true, 1},
		"again":                           {"PUT 401,PUT 200,PUT 401", true, 2},
		"what was never refused is quiet": {"PUT 200,GET 200,DELETE 404", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := NewStanding(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
			for one := range strings.SplitSeq(c.answers, ",") {
				if method, status, ok := strings.Cut(one, " "); ok {
					s.saw(method, map[string]int{"200": 200, "201": 201, "401": http.StatusUnauthorized, "403": 403, "404": 404, "503": 503}[status])
				}
			}
			if told := strings.Count(log.String(), "level=ERROR"); (s.Err() != nil) != c.denied || told != c.told {
				t.Errorf("%v, told %d times", s.Err(), told)
			}
		})
	}
	if err := (*Standing)(nil).Err(); err != nil {
		t.Error(err)
	}
}
