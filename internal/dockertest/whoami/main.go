// Command whoami answers with its name, by HTTP on port 8080 and by TCP on port 9000:
// what NAME says, or else the host's name. It is the whole of an image of tests.
//
//	GET  /        its name
//	GET  /health  200, or what was posted last
//	POST /health?status=500
//	POST /exit   ends it, as a crash does
//
// `whoami check` asks its /health and ends with 0 or 1, for an engine's HEALTHCHECK. After
// SIGTERM it serves for as long as LINGER says (a duration) before it ends.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "check" {
		os.Exit(check())
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func check() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080/health", nil)
	if err != nil {
		return 1
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 1
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

func serve() error {
	name := os.Getenv("NAME")
	if name == "" {
		name, _ = os.Hostname() // "" is a name as good
	}
	var status atomic.Int64
	status.Store(http.StatusOK)
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	http.HandleFunc("POST /health", func(_ http.ResponseWriter, r *http.Request) {
		if to, err := strconv.ParseInt(r.FormValue("status"), 10, 16); err == nil {
			status.Store(to)
		}
	})
	http.HandleFunc("POST /exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	failed := make(chan error, 2)
	go func() { failed <- (&http.Server{Addr: ":8080", ReadHeaderTimeout: time.Minute}).ListenAndServe() }()
	go func() { failed <- answerTCP(name) }()
	select {
	case err := <-failed:
		return err
	case <-asked:
	}
	linger, _ := time.ParseDuration(os.Getenv("LINGER")) // none: it ends at once
	time.Sleep(linger)
	return nil
}

func answerTCP(name string) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", ":9000")
	if err != nil {
		return err
	}
	for {
		one, err := listener.Accept()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(one, name) // who hung up has no need of it
		_ = one.Close()
	}
}
