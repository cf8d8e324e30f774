package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/heddletest"
)

// A stream on which nothing comes, not even that it lives, is given up for another.
func TestAStreamThatIsSilentIsBegunAnew(t *testing.T) {
	var begun atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "data: {\"fleet\": \"stream %d\"}\n\n", begun.Add(1))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	}))
	defer server.Close()
	c, err := NewClient(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	c.silence = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), heddletest.Patience)
	defer cancel()
	enough := errors.New("enough")
	if err := c.Watch(ctx, func(f *Fleet) error {
		if f.Fleet == "stream 2" {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) {
		t.Error(err)
	}
}
