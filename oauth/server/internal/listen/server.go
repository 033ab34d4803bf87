package listen

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/oauth/surface"
	"latchkey/otp/limit"
)

// Limits without a setting.
const (
	maxHeaderBytes    = 32 << 10
	readHeaderTimeout = 5 * time.Second
	settleMargin      = 10 * time.Second // time to store an outcome and to answer after the deadline of a request
	idleTimeout       = 2 * time.Minute
	opsTimeout        = 5 * time.Second
)

// Config configures a Server. Required is Handler.
type Config struct {
	Handler   http.Handler // serves the API; it must set r.Pattern, as http.ServeMux does
	BasePath  string       // path below which Handler is served too, see Below; empty: none
	Listen    string       // host:port; port 0 takes a free one
	Listener  net.Listener // already open at Listen; nil: Start opens one
	OpsListen string       // host:port of health, readiness and metrics

	OpsListener net.Listener // already open at OpsListen; nil: Start opens one
	// TLSCertFile and TLSKeyFile are the certificate of Listen in PEM. They are read again
	// when they change. Empty: plain HTTP.
	TLSCertFile, TLSKeyFile string
	HealthOnListen          bool // serves /healthz at Listen as well

	Surfaces      []surface.HTTPRules // rules of the surfaces that Handler consists of
	InternalError string              // JSON body of the answer when Handler panics; empty: none

	Logger          zerolog.Logger
	RequestTimeout  time.Duration  // deadline of one request; default 10 s
	ShutdownDelay   time.Duration  // how long a stop goes on accepting connections after readiness has become 503
	ShutdownTimeout time.Duration  // how long a stop waits for requests in flight, after ShutdownDelay; default 15 s
	DrainTimeout    time.Duration  // how long a stop still answers on idle connections before it closes them; default 1 s; a part of ShutdownTimeout
	MaxConns        int            // open connections; one address may have an eighth of them; default 4096
	MaxBodyBytes    int64          // of a request; default 1 MiB
	TrustedProxies  []netip.Prefix // peers whose X-Forwarded-For is trusted
	Origins         []string       // web origins whose pages may call the API from a browser; default: none
	HTTPS           bool           // clients use TLS, which a proxy in front of the server terminates
	Shield          limit.Limit    // of failures of an address at guessable paths; default: none

	Ready    ReadyFunc            // nil: always ready
	Registry *prometheus.Registry // default: a new one; the server adds its own metrics
	Limited  func(limiter string) // called when the shield has refused a request; optional
	// Trace begins a span for a request. It returns the context of the span, an id of the
	// request that contains the span, and end, which takes the route and the status. nil:
	// there are no spans.
	Trace func(ctx context.Context, method string, header http.Header) (_ context.Context, id string, end func(route string, status int))
	Now   func() time.Time // default time.Now
	Rand  io.Reader        // for request ids; used concurrently; default crypto/rand
}

// ReadyFunc reports whether the server can take requests: an error if it cannot, with the
// reason in words that may be shown. changes says how it learns of changes that others
// make. Empty texts are not shown.
type ReadyFunc func(context.Context) (changes, reason string, err error)

// Server serves one handler and its health.
type Server struct {
	cfg      Config
	metrics  metrics
	stopping atomic.Bool
	guard    func(http.Handler) http.Handler

	certificate        *certificate // nil: plain HTTP
	api, ops           *http.Server
	apiLimit, opsLimit *limiter
	failed             chan error
	serving            sync.WaitGroup
}

// New returns a server that does not listen yet. It fails if Handler is nil, or if
// Registry already has metrics of the same names.
func New(cfg Config) (*Server, error) {
	if cfg.Handler == nil {
		return nil, errors.New("server: no handler")
	}
	cfg.setDefaults()
	guard := newShield(cfg.Shield, cfg.Surfaces, cfg.Now, cfg.Limited).guard
	cfg.Handler = Below(cfg.BasePath, newCrossOrigin(cfg.Origins, cfg.Surfaces).wrap(guard(cfg.Handler)))
	m, err := newMetrics(cfg.Registry)
	if err != nil {
		return nil, fmt.Errorf("server: metrics: %w", err)
	}
	s := &Server{cfg: cfg, metrics: m, failed: make(chan error, 2), guard: guard}
	if cfg.HealthOnListen {
		s.cfg.Handler = s.withHealth(cfg.Handler)
	}
	if cfg.TLSCertFile != "" {
		if s.certificate, err = newCertificate(cfg.TLSCertFile, cfg.TLSKeyFile, cfg.Now, cfg.Logger); err != nil {
			return nil, err
		}
	}
	errorLog := log.New(cfg.Logger.With().Str("from", "net/http").Logger(), "", 0)
	s.api = &http.Server{
		Handler:           s,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readHeaderTimeout + cfg.RequestTimeout,
		WriteTimeout:      readHeaderTimeout + 2*cfg.RequestTimeout + settleMargin,
		IdleTimeout:       idleTimeout,
		ErrorLog:          errorLog,
	}
	s.ops = &http.Server{
		Handler:           s.opsHandler(),
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readHeaderTimeout,
		WriteTimeout:      2 * opsTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          errorLog,
	}
	return s, nil
}

// Guard returns a handler for requests that a handler of the server makes in its own
// process. Addresses that have failed too often are refused there too, and failures count.
func (s *Server) Guard(next http.Handler) http.Handler { return s.guard(next) }

func (c *Config) setDefaults() {
	c.RequestTimeout = orDefault(c.RequestTimeout, 10*time.Second)
	c.ShutdownTimeout = orDefault(c.ShutdownTimeout, 15*time.Second)
	c.DrainTimeout = orDefault(c.DrainTimeout, time.Second)
	c.MaxConns = orDefault(c.MaxConns, 4096)
	c.MaxBodyBytes = orDefault(c.MaxBodyBytes, 1<<20)
	if c.Ready == nil {
		c.Ready = func(context.Context) (string, string, error) { return "", "", nil }
	}
	if c.Limited == nil {
		c.Limited = func(string) {}
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Open listens on a TCP address. Multipath TCP is off: its listeners cannot filter what
// they receive, which a stop needs; see ignoreNewConnections.
func Open(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}

// Run serves until ctx ends, then stops; see Start and Wait.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	return s.Wait(ctx)
}

// Start listens on both addresses and begins to serve. After it has returned nil,
// Addr and OpsAddr are known and the server accepts connections. Call Start once,
// and Wait after it. The end of ctx does not cancel requests.
func (s *Server) Start(ctx context.Context) error {
	api, err := s.cfg.Listener, error(nil)
	if api == nil {
		api, err = Open(ctx, s.cfg.Listen)
	}
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	ops := s.cfg.OpsListener
	if ops == nil {
		ops, err = Open(ctx, s.cfg.OpsListen)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("server: %w", err), api.Close())
	}
	s.apiLimit = newLimiter(api, s.cfg.MaxConns, s.cfg.TrustedProxies, s.metrics.connections)
	s.opsLimit = newLimiter(ops, opsMaxConns, s.cfg.TrustedProxies, nil)
	base := context.WithoutCancel(ctx)
	if s.certificate != nil {
		s.api.TLSConfig = s.certificate.config()
	}
	s.serve(base, s.api, s.apiLimit)
	s.serve(base, s.ops, s.opsLimit)
	return nil
}

func (s *Server) serve(base context.Context, srv *http.Server, l *limiter) {
	srv.BaseContext = func(net.Listener) context.Context { return base }
	srv.ConnState = l.track
	s.serving.Go(func() {
		err := serveOn(srv, l)
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.failed <- fmt.Errorf("server: %w", err)
		}
	})
}

// serveOn serves with TLS if the server has a configuration of it.
func serveOn(srv *http.Server, l net.Listener) error {
	if srv.TLSConfig == nil {
		return srv.Serve(l)
	}
	srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
	return srv.ServeTLS(l, "", "")
}

// Addr returns the address of the API. Call it after Start.
func (s *Server) Addr() net.Addr { return s.apiLimit.Addr() }

// OpsAddr returns the address of health, readiness and metrics. Call it after Start.
func (s *Server) OpsAddr() net.Addr { return s.opsLimit.Addr() }

// Wait serves until ctx ends or a listener fails, and then stops. During the stop,
// readiness is 503, and all answers have "Connection: close". After
// Config.ShutdownDelay the API's listener closes, when all connections that clients
// have opened are accepted. Requests in flight finish. The error is that of a listener,
// or context.DeadlineExceeded if requests were still running after
// Config.ShutdownTimeout and were aborted.
func (s *Server) Wait(ctx context.Context) error {
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.failed:
	}
	return errors.Join(failed, s.stop(context.WithoutCancel(ctx)))
}

func (s *Server) stop(ctx context.Context) error {
	s.cfg.Logger.Info().Msg("stopping")
	s.stopping.Store(true)
	select {
	case <-time.After(s.cfg.ShutdownDelay):
	case <-s.apiLimit.done: // it has failed
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ShutdownTimeout)
	defer cancel()
	s.drain(ctx)
	err := s.api.Shutdown(ctx)
	if err != nil {
		_ = s.api.Close()
		err = fmt.Errorf("server: requests were still running after %s: %w", s.cfg.ShutdownTimeout, err)
	}
	// Nobody needs readiness any more, and a slow scrape must not delay the stop.
	_ = s.ops.Close()
	s.serving.Wait()
	return err
}

// drain closes the listener when its backlog is empty, and waits until the clients have
// closed their connections, as every answer now asks them to do, or until DrainTimeout
// has passed. If it closed idle connections at once, a request that is already on its
// way would get no answer.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	s.apiLimit.closeWhenIdle(ctx)
	select {
	case <-s.apiLimit.empty:
	case <-ctx.Done():
	}
}
