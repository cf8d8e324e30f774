package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard refuses what no client of this server sends, before anything else.
func (s *Server) guard(next http.Handler) http.Handler {
	ownPages := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !s.known(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("this agent is not known as %q: call it by its address or as localhost, or start it with --api-host and this name", r.Host))
			return
		}
		if err := ownPages.Check(r); err != nil {
			refuse(w, http.StatusForbidden, "a page of another site may not write here: "+err.Error())
			return
		}
		s.allowOrigin(header, r)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// known says whether a request means this server. Reading needs no token, so without it a
// page from anywhere could have its own name resolve to this address (DNS rebinding), and
// read the fleet through the browser of whoever looks at it. It cannot do so with an
// address, nor with a name that is not its author's.
func (s *Server) known(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	return strings.EqualFold(host, "localhost") || slices.ContainsFunc(s.cfg.Hosts, func(name string) bool { return strings.EqualFold(name, host) })
}

// allowOrigin lets pages of other sites read, where that is asked for.
func (s *Server) allowOrigin(header http.Header, r *http.Request) {
	if len(s.cfg.Origins) == 0 {
		return
	}
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	switch {
	case slices.Contains(s.cfg.Origins, "*"):
		origin = "*"
	case !slices.Contains(s.cfg.Origins, origin):
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Methods", http.MethodGet)
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
}
