package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Config says how an etcd cluster is reached.
type Config struct {
	Endpoints    []string // URLs or host:port
	Username     string
	PasswordFile string // file that holds the password of Username
	CAFile       string // PEM; verifies the cluster's certificates
	CertFile     string // PEM client certificate, with KeyFile; read again at each connection
	KeyFile      string
	// Timeout bounds each read and write; default 3 s. What takes longer is
	// reported as unavailable.
	Timeout time.Duration
	Logger  *slog.Logger // default: discard
	Tracing Tracing
}

// Tracing follows writes; the zero value follows none.
type Tracing struct {
	// Of gives the trace that a write belongs to, to be stored with the object; ""
	// if it is not followed.
	Of func(context.Context) string
	// Calls is put around each call of etcd.
	Calls grpc.UnaryClientInterceptor
}

// followed notes in a write the trace that it belongs to.
func (s *Store) followed(ctx context.Context, w Write) Write {
	if s.traceOf != nil {
		w.trace = s.traceOf(ctx)
	}
	return w
}

// Store reads and writes the mesh. Its methods may be called at once. Their
// errors are [mesh.Error]s: invalid, not found, conflict, denied or unavailable.
type Store struct {
	client     *clientv3.Client
	timeout    time.Duration
	logger     *slog.Logger
	quarantine quarantine
	tokens     tokenCache
	requests   requestLease
	audit      auditLog
	live       live
	traceOf    func(context.Context) string // nil: writes are not followed
	kept       atomic.Int64                 // writes that left something to the history
	chores     chores
}

// Write says who writes, and on which condition.
type Write struct {
	Author string // who, for Meta.Author
	Source string // by which way, for Meta.Source
	From   string // from which address, for the audit
	// By is the right to write. The zero value is an admin's: of the server itself.
	By Token
	// Keeper is who keeps what is written, and alone may change it from then on; "":
	// nobody, and what somebody keeps is not touched.
	Keeper mesh.Keeper
	// Term is the office in whose term a set is kept: refused once another server has
	// taken over. Zero: in none.
	Term Term
	// KeeperSource is the source that writes in the keeper's name: refused if the keeper
	// was noted to belong to another. "": the writer does not say.
	KeeperSource string
	// Action is what the audit calls it; default create, replace or delete.
	Action string
	// Revision is what the writer last saw; the write is refused with a
	// conflict if the object has changed since. 0: whatever is there.
	Revision int64
	// To is, of a rollback, the revision whose content is written, for the audit.
	To int64
	// Force deletes a service although others depend on it.
	Force bool
	// Known is who depends on a service that is to be deleted, as the caller knows it
	// already; nil: it is looked up.
	Known *mesh.Dependents
	// Create refuses the write with a conflict if the object exists.
	Create bool
	// RequestID makes the write happen once: sent again with the same content
	// it gives the first result, with other content a conflict. It is
	// remembered for a day, for each author. Empty: no such check.
	RequestID string

	handover bool // of an object from one keeper to another, or to nobody

	note func(*mesh.AuditEntry) // adds to what the audit tells of it; nil: nothing

	trace string // that it belongs to
}

// Open connects to an etcd cluster and makes sure that it answers.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if (cfg.Username == "") != (cfg.PasswordFile == "") {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "connect to etcd: a user name and a password file go together: give both, or neither"}
	}
	clientConfig := clientv3.Config{Endpoints: cfg.Endpoints, Username: cfg.Username}
	if cfg.PasswordFile != "" {
		password, err := os.ReadFile(cfg.PasswordFile)
		if err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the password for etcd", Err: err}
		}
		clientConfig.Password = strings.TrimRight(string(password), "\r\n")
	}
	tlsConfig, err := clientTLS(cfg)
	if err != nil {
		return nil, err
	}
	clientConfig.TLS = tlsConfig
	s, err := newStore(clientConfig, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		_ = s.Close()
		if mesh.KindOf(err) == mesh.KindUnavailable {
			err = mesh.Unavailable(err, "no etcd answers at %s (--etcd-endpoints)", strings.Join(cfg.Endpoints, ", "))
		}
		return nil, err
	}
	return s, nil
}

func clientTLS(cfg Config) (*tls.Config, error) {
	if cfg.CAFile == "" && cfg.CertFile == "" && cfg.KeyFile == "" {
		for _, endpoint := range cfg.Endpoints {
			if strings.HasPrefix(endpoint, "https://") {
				return &tls.Config{MinVersion: tls.VersionTLS12}, nil
			}
		}
		return nil, nil //nolint:nilnil // no TLS is what was asked for
	}
	info := transport.TLSInfo{TrustedCAFile: cfg.CAFile, CertFile: cfg.CertFile, KeyFile: cfg.KeyFile}
	tlsConfig, err := info.ClientConfig()
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "read the TLS files for etcd", Err: err}
	}
	return tlsConfig, nil
}

func newStore(clientConfig clientv3.Config, cfg Config) (*Store, error) {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	timeout := cmp.Or(cfg.Timeout, 3*time.Second)
	clientConfig.DialTimeout = timeout // bounds the first login, which else waits for ever
	clientConfig.DialKeepAliveTime = 10 * time.Second
	clientConfig.DialKeepAliveTimeout = 3 * time.Second
	clientConfig.Logger = zapTo(logger)
	clientConfig.DialOptions = []grpc.DialOption{
		// An etcd that comes back is found again within a second, not after
		// gRPC's default of up to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
	if cfg.Tracing.Calls != nil {
		clientConfig.DialOptions = append(clientConfig.DialOptions, grpc.WithChainUnaryInterceptor(cfg.Tracing.Calls))
	}
	client, err := clientv3.New(clientConfig)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, mesh.Unavailable(err, "log in to etcd at %s: it did not answer within %s; is it running there, and do the certificates (--etcd-ca-file, --etcd-cert-file) fit it?",
			strings.Join(clientConfig.Endpoints, ", "), timeout)
	}
	if err != nil {
		return nil, mesh.Unavailable(err, "connect to etcd at %s", strings.Join(clientConfig.Endpoints, ", "))
	}
	return &Store{client: client, timeout: timeout, logger: logger, audit: newAuditLog(), traceOf: cfg.Tracing.Of}, nil
}

// Close ends the connection. Watches under way end with it.
func (s *Store) Close() error {
	s.chores.close()
	err := s.client.Close()
	s.chores.running.Wait()
	return err
}

// Ping asks etcd for an answer that needs its quorum.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Revision(ctx)
	return err
}

// Revision asks etcd which one it is at.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	revision, _, err := s.position(ctx)
	return revision, err
}

// position gives etcd's revision and Raft term, which begins anew with each
// election of a leader.
func (s *Store) position(ctx context.Context) (revision int64, term uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.client.Get(ctx, root, clientv3.WithLimit(1), clientv3.WithKeysOnly())
	if err != nil {
		return 0, 0, refusal(err, "ask etcd")
	}
	return got.Header.Revision, got.Header.RaftTerm, nil
}

// replaced says whether etcd had something else at a mark's revision. It is no
// answer when that was compacted, or etcd is away.
func (s *Store) replaced(ctx context.Context, at mark) bool {
	if at.key == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	got, err := s.client.Get(ctx, at.key, clientv3.WithRev(at.revision), clientv3.WithKeysOnly())
	return err == nil && (len(got.Kvs) == 0 || got.Kvs[0].ModRevision != at.written)
}

// refusal turns etcd's errors into the model's. nil stays nil.
func refusal(err error, tried string) error {
	switch {
	case err == nil:
		return nil
	case mesh.KindOf(err) != "":
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return mesh.Unavailable(err, "%s: etcd did not answer in time", tried)
	}
	var e rpctypes.EtcdError
	code := status.Code(err)
	if errors.As(err, &e) {
		code = e.Code()
	} else if code == codes.ResourceExhausted { // said by the client's own gRPC: longer than it sends
		err, code = rpctypes.ErrRequestTooLarge, codes.InvalidArgument
	}
	switch code {
	case codes.PermissionDenied, codes.Unauthenticated:
		return mesh.Unavailable(err, "%s: etcd refuses this server's user; see --etcd-user", tried)
	case codes.ResourceExhausted:
		return mesh.Unavailable(err, "%s: etcd has no room; an embedded one has it again after a restart of the server, of a cluster see docs/operations.md, \"No room\"", tried)
	case codes.InvalidArgument:
		if errors.Is(err, rpctypes.ErrRequestTooLarge) {
			return &mesh.Error{Kind: mesh.KindInvalid, Message: tried + ": it is too large for etcd, which takes 1.5 MiB at once unless it is told otherwise; " +
				"in there <, > and & take six bytes each, and with a request id everything is kept twice"}
		}
		return &mesh.Error{Kind: mesh.KindInvalid, Message: tried + ": etcd refuses it", Err: err}
	}
	return mesh.Unavailable(err, "%s: etcd is not available", tried)
}

// quarantine lists the values that something is wrong with.
type quarantine struct {
	mu    sync.Mutex
	byKey map[string]Quarantine // guarded by mu
}

// Quarantine is a stored value that could not be read, or, InUse, one that was
// and would be refused if it were written now.
type Quarantine struct {
	Key      string // in etcd
	Reason   string
	Revision int64 // of the value
	InUse    bool
}
