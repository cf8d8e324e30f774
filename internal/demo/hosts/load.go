package hosts

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/shop"
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

const (
	// loadPace is how often a request begins, whether others have ended or not.
	loadPace = 10 * time.Millisecond
	// requestTime is above the 15 s after which an Envoy gives up.
	requestTime = 20 * time.Second
)

// load keeps requests coming from outside to the ingress host, to all services in turn:
// GET over HTTP, and over TCP a connection for each.
type load struct {
	*stage.Tally
	town   *town
	client *http.Client

	mu       sync.Mutex // guards what follows
	underway map[int]time.Time
	cut      time.Time // when a host was cut off or killed last
	slowest  time.Duration
}

func newLoad(t *town) *load {
	return &load{Tally: stage.NewTally(), town: t, underway: map[int]time.Time{}, client: &http.Client{Timeout: requestTime, Transport: &http.Transport{
		DialContext: t.hub.dial, MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second,
	}}}
}

// run sends requests until ctx ends, and waits for those under way.
func (l *load) run(ctx context.Context) {
	var requests sync.WaitGroup
	defer l.client.CloseIdleConnections()
	defer requests.Wait()
	tick := time.NewTicker(loadPace)
	defer tick.Stop()
	all := services()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		requests.Go(func() { l.request(context.WithoutCancel(ctx), n, all[n%len(all)]) })
	}
}

// request makes one, and counts it. One that began before a host was cut off, and failed
// after, is not held against anybody.
func (l *load) request(ctx context.Context, n int, s service) {
	began := time.Now()
	l.mu.Lock()
	l.underway[n] = began
	l.mu.Unlock()
	answer, err := l.ask(ctx, s)
	took := time.Since(began)
	l.mu.Lock()
	delete(l.underway, n)
	lost := err != nil && began.Before(l.cut) && began.Add(took).After(l.cut)
	if err == nil {
		l.slowest = max(l.slowest, took)
	}
	l.mu.Unlock()
	switch {
	case lost:
		l.NoteLost()
	case err != nil:
		l.Note(fmt.Errorf("%s, after %s: %w", s.name, took.Round(time.Millisecond), err))
	default:
		l.Note(nil, answer.Service+" on "+answer.Instance)
	}
}

func (l *load) ask(ctx context.Context, s service) (shop.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	ask := l.get
	if s.tcp() {
		ask = l.talk
	}
	body, err := ask(ctx, l.town.ingress.reach(s.port))
	if err != nil {
		return shop.Answer{}, err
	}
	var answer shop.Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, fmt.Errorf("not the answer of a service: %q", body)
	}
	return answer, answer.Check(s.name)
}

func (l *load) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return body, err
}

func (l *load) talk(ctx context.Context, address string) ([]byte, error) {
	conn, err := l.town.hub.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(requestTime)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "who are you?\n"); err != nil {
		return nil, err
	}
	return bufio.NewReader(conn).ReadBytes('\n')
}

// hostCut says that a host is cut off now.
func (l *load) hostCut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = time.Now()
}

// took gives the slowest good answer since it was asked last.
func (l *load) took() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	slowest := l.slowest
	l.slowest = 0
	return slowest
}

// ended waits until all requests that have begun until now have ended.
func (l *load) ended(ctx context.Context) error {
	now := time.Now()
	return stage.Poll(ctx, 2*requestTime, "requests under way to end", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, began := range l.underway {
			if began.Before(now) {
				return fmt.Errorf("one has lasted for %s", stage.Since(began))
			}
		}
		return nil
	})
}
