package meshdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config says where queries come in, and who answers what is not of the mesh.
type Config struct {
	Addresses    []netip.Addr // where it listens, by UDP and TCP
	Port         mesh.Port    // 0: a free one at each address
	ResolvConf   string       // default /etc/resolv.conf; read again when it changes
	ResolverPort uint16       // of the resolvers that it names; default 53
	Timeout      time.Duration
	Logger       *slog.Logger // nil: no log
}

const (
	// defaultTimeout is for one resolver: three that are silent take less than the
	// 5 seconds after which the C library asks again.
	defaultTimeout = 1500 * time.Millisecond
	// mostQueries bounds what other resolvers are asked at a time over UDP. More are not answered, and asked again.
	mostQueries = 512
	// mostConnections bounds those over TCP, and idle ends one without a query.
	mostConnections = 128
	idle            = 10 * time.Second
	sayAgain        = time.Minute
)

// Server answers queries.
type Server struct {
	config  Config
	forward *forwarder
	udp     []*net.UDPConn
	tcp     []net.Listener
	slots   chan struct{} // capacity mostQueries
	places  chan struct{} // capacity mostConnections

	mu   sync.Mutex
	said map[string]time.Time // guarded by mu; when the log was told what
}

// Listen takes the ports. Nothing is answered before Run.
func Listen(c Config) (*Server, error) {
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	if c.ResolverPort == 0 {
		c.ResolverPort = 53
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config: c, slots: make(chan struct{}, mostQueries), places: make(chan struct{}, mostConnections), said: map[string]time.Time{},
		forward: &forwarder{
			timeout: c.Timeout, ports: readSourcePorts(portRange), ours: map[netip.AddrPort]int{},
			resolvers: &resolvers{path: c.ResolvConf, port: c.ResolverPort, now: time.Now, failing: map[netip.AddrPort]time.Time{}},
		},
	}
	for _, address := range c.Addresses {
		at := netip.AddrPortFrom(address, uint16(c.Port)) //nolint:gosec // a port
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			s.Close()
			return nil, cannot(at, err)
		}
		s.tcp = append(s.tcp, listener)
		at = addressOf(listener.Addr()) // one port for both
		packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			s.Close()
			return nil, cannot(at, err)
		}
		s.udp = append(s.udp, packets)
	}
	return s, nil
}

func cannot(at netip.AddrPort, err error) error {
	return &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("answer DNS queries on %s (--dns-port): end what listens there, or choose another port, for heddle intercept too", at), Err: err}
}

// Addresses are where it listens, by UDP and TCP.
func (s *Server) Addresses() []netip.AddrPort {
	var list []netip.AddrPort
	for _, one := range s.tcp {
		list = append(list, addressOf(one.Addr()))
	}
	return list
}

// Run answers until ctx ends. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer s.Close()
	for _, one := range s.udp {
		tasks.Go(func() { cancel(s.serveUDP(ctx, one, &tasks)) })
	}
	for _, one := range s.tcp {
		tasks.Go(func() { cancel(s.serveTCP(ctx, one, &tasks)) })
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("answer DNS queries: %w", cause)
	}
	return nil
}

// Close gives the ports back, of a server that is not to run after all.
func (s *Server) Close() {
	for _, one := range s.udp {
		one.Close()
	}
	for _, one := range s.tcp {
		one.Close()
	}
}

func (s *Server) serveUDP(ctx context.Context, socket *net.UDPConn, tasks *sync.WaitGroup) error {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buffer)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // of one packet, such as that nobody took an answer
			continue
		}
		answer, others := respondsTo(buffer[:n])
		if answer != nil {
			_, _ = socket.WriteToUDPAddrPort(answer, from)
		}
		if !others { // at once: whatever keeps other resolvers, names of the mesh are told
			continue
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.warn("there are too many queries at once for other resolvers: some are not answered, and asked again", "most", mostQueries)
			continue
		}
		query := slices.Clone(buffer[:n])
		tasks.Go(func() {
			defer func() { <-s.slots }()
			if answer := s.ask(ctx, "udp", netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), query); answer != nil {
				_, _ = socket.WriteToUDPAddrPort(answer, from)
			}
		})
	}
}

func (s *Server) serveTCP(ctx context.Context, listener net.Listener, tasks *sync.WaitGroup) error {
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				connection.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // too many files are open, or the client is gone
			s.warn("a connection for DNS queries was not taken", "error", err)
			pause(ctx)
			continue
		}
		select {
		case s.places <- struct{}{}:
		default:
			s.warn("there are too many connections for DNS queries: some are closed", "most", mostConnections)
			connection.Close()
			continue
		}
		tasks.Go(func() {
			defer func() { <-s.places }()
			defer connection.Close()
			defer context.AfterFunc(ctx, func() { connection.Close() })()
			s.converse(ctx, connection)
		})
	}
}

// converse answers the queries of one connection, in their order.
func (s *Server) converse(ctx context.Context, connection net.Conn) {
	from := addressOf(connection.RemoteAddr())
	for {
		if connection.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		query, err := readTCP(connection)
		if err != nil {
			return
		}
		answer, others := respondsTo(query)
		if others {
			answer = s.ask(ctx, "tcp", from, query)
		}
		if answer == nil || writeTCP(connection, answer) != nil {
			return
		}
	}
}

// ask gives the answer of other resolvers to a query, nil for none.
func (s *Server) ask(ctx context.Context, network string, from netip.AddrPort, raw []byte) []byte {
	if s.forward.isOurs(from) {
		s.warn("the sidecar's own DNS queries come back to it: run it as the user whose connections are left alone (heddle intercept install --proxy-uid)")
		return failure(raw, dns.RcodeServerFailure)
	}
	answer, err := s.forward.forward(ctx, network, raw)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		s.warn("no resolver answers", "error", err)
		return failure(raw, dns.RcodeServerFailure)
	}
	return answer
}

// warn tells the log, of each thing now and then.
func (s *Server) warn(message string, arguments ...any) {
	s.mu.Lock()
	news := time.Since(s.said[message]) > sayAgain
	if news {
		s.said[message] = time.Now()
	}
	s.mu.Unlock()
	if news {
		s.config.Logger.Warn("mesh DNS: "+message, arguments...)
	}
}

// pause lets what runs short come back.
func pause(ctx context.Context) {
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
