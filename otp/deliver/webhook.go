package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/storage"
)

const (
	defaultTimeout = 10 * time.Second
	maxResponse    = 64 << 10 // bytes that are read of a response's body
)

// Call is one HTTP POST.
type Call struct {
	URL    string // http or https
	Header http.Header
	Body   []byte
}

// WebhookConfig is what a Webhook needs.
type WebhookConfig struct {
	// Encode writes an envelope in the words of the receiver. Required. It is
	// called for each attempt; an error is tried again unless it is Permanent.
	Encode func(context.Context, storage.Sender, Envelope) (Call, error)
	// Allow lists the private, loopback and other special-purpose addresses
	// that may be called nevertheless.
	Allow []netip.Prefix
	// Timeout limits a whole attempt; 0 means 10 s. A Worker allows an attempt
	// 90 s at most.
	Timeout time.Duration
	// Resolver looks names up; nil means the system's.
	Resolver *net.Resolver
	Now      func() time.Time // nil: time.Now
}

// Webhook delivers by HTTP POST. It follows no redirect, uses no proxy, and
// calls no address of a special-purpose network unless allowed; addresses are
// checked when the connection is made, after the name was resolved, so a name
// that changes its mind gains nothing.
type Webhook struct {
	cfg    WebhookConfig
	client http.Client
}

// NewWebhook returns a Webhook. It fails if Encode is missing or a prefix of
// Allow is invalid.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	if cfg.Encode == nil {
		return nil, errors.New("deliver: a webhook needs Encode")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	dialer, err := GuardedDialer(cfg.Allow, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	dialer.Resolver = cfg.Resolver
	return &Webhook{cfg: cfg, client: http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxResponse,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections. Send may not be called any more.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// Send implements Transport. Every attempt for a message carries its id as
// Idempotency-Key. An answer of 2xx is a delivery. These answers of the class
// 4xx ask to try again: 408, 409, 421, 423, 425 and 429 (RFC 9110 §15.5, RFC
// 4918 §11.3, RFC 8470 §5.2, RFC 6585 §4). A 404 is tried a few times, because a
// receiver that is being deployed answers it for a short while. All other
// answers of that class end the message, and so do a forbidden address and an
// impossible URL. Everything else is tried again, after the time that
// Retry-After asks for (RFC 9110 §10.2.3).
func (w *Webhook) Send(ctx context.Context, sender storage.Sender, e Envelope) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	call, err := w.cfg.Encode(ctx, sender, e)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	request, err := newRequest(ctx, call, e.Message.ID)
	if err != nil {
		return Permanent(err)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return callError(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	// Read what is there, so that the connection can serve again. The status
	// has decided already, so it does not matter if this fails.
	_, _ = io.CopyN(io.Discard, response.Body, maxResponse)
	return judge(response.StatusCode, retryAfter(response.Header, w.cfg.Now()))
}

func newRequest(ctx context.Context, call Call, messageID string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return nil, Reason("not a URL") // the cause quotes the URL, which may hold a secret
	}
	if u := request.URL; u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, Reason("not an http or https URL")
	}
	if call.Header != nil {
		request.Header = call.Header.Clone()
	}
	request.Header.Set("Idempotency-Key", messageID)
	return request, nil
}

// callError judges a call that got no answer. The URL is cut from the text
// because it may hold a secret.
func callError(err error) error {
	var wrapper *url.Error
	if errors.As(err, &wrapper) {
		err = wrapper.Err
	}
	if Forbidden(err) {
		return Permanent(err)
	}
	return err
}

// notFoundTries is the attempt at which a 404 ends a message. The pauses before
// it add up to about half a minute.
const notFoundTries = 6

// judge decides what a receiver's answer means. wait is how long it asked to
// wait before another attempt.
func judge(status int, wait time.Duration) error {
	var err error = Reason(fmt.Sprintf("receiver answered %d", status))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusNotFound:
		err = RetryTimes(err, notFoundTries)
	case status >= 400 && status < 500 && !slices.Contains(passing[:], status):
		return Permanent(err)
	}
	if wait > 0 {
		err = RetryAfter(err, wait)
	}
	return err
}

// passing are the answers of the class 4xx that say "not now".
var passing = [...]int{
	http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest,
	http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests,
}

// retryAfter reads the header Retry-After, in seconds or as a date (RFC 9110
// §10.2.3). It returns 0 if there is none, or none that can be understood.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}
