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
	maxResponse    = 64 << 10 // bytes read of the header and of the body of a response
)

// Call is one HTTP POST.
type Call struct {
	URL    string // http or https
	Header http.Header
	Body   []byte
}

// WebhookConfig is what a Webhook needs.
type WebhookConfig struct {
	// Encode returns the call for an envelope. Required. It is called for each
	// attempt. Its error is retried unless it is Permanent.
	Encode func(context.Context, storage.Sender, Envelope) (Call, error)
	// Allow lists the private, loopback and other special-purpose addresses that may be
	// called. Special-purpose addresses that are not in it are refused.
	Allow []netip.Prefix
	// Timeout limits a whole attempt; 0 means 10 s. A Worker limits an attempt to
	// 90 s.
	Timeout time.Duration
	// Resolver looks up host names; nil means the resolver of the system.
	Resolver *net.Resolver
	Now      func() time.Time                   // nil: time.Now
	Inject   func(context.Context, http.Header) // adds the headers of a span (W3C Trace Context); optional
}

// Webhook is the Transport that delivers by HTTP POST. It follows no redirect, uses no
// proxy, and refuses addresses of special-purpose networks that are not allowed (see
// GuardedDialer).
type Webhook struct {
	cfg    WebhookConfig
	client http.Client
}

// NewWebhook returns a Webhook. It returns an error if Encode is missing or a prefix
// of Allow is invalid.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	if cfg.Encode == nil {
		return nil, errors.New("deliver: WebhookConfig.Encode is required")
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

// Close closes idle connections. Send must not be called after it.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// Send implements Transport. Every attempt for a message carries the message id as
// Idempotency-Key. The status of the response decides:
//
//   - 2xx: the message is delivered.
//   - 408, 409, 421, 423, 425, 429: the attempt is retried (RFC 9110 §15.5, RFC 4918
//     §11.3, RFC 8470 §5.2, RFC 6585 §4).
//   - 404: the attempt is retried a few times, because a receiver may answer 404
//     while it is being deployed.
//   - any other 4xx: the message ends.
//   - any other status: the attempt is retried.
//
// A forbidden address and an invalid URL end the message. Any other error of the
// network is retried. The header Retry-After (RFC 9110 §10.2.3) can make the delay before
// a retry longer, but not shorter.
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
	if w.cfg.Inject != nil {
		w.cfg.Inject(ctx, request.Header)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return networkError(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	// The connection is reused only if the body was read. The status decides, so an
	// error here does not matter.
	_, _ = io.CopyN(io.Discard, response.Body, maxResponse)
	return statusError(response.StatusCode, retryAfter(response.Header, w.cfg.Now()))
}

func newRequest(ctx context.Context, call Call, messageID string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return nil, Reason("not a URL") // the cause quotes the URL, which may contain a secret
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

// networkError returns the error of a call without a response. It removes the URL,
// which may contain a secret.
func networkError(err error) error {
	var wrapper *url.Error
	if errors.As(err, &wrapper) {
		err = wrapper.Err
	}
	if IsForbiddenAddress(err) {
		return Permanent(err)
	}
	return err
}

// notFoundTries is the number of the attempt at which a 404 ends a message. The
// delays before that attempt add up to about half a minute.
const notFoundTries = 6

// statusError returns nil if the status of a response means that the message is
// delivered. Otherwise it returns the error for the status. wait is the time of
// Retry-After.
func statusError(status int, wait time.Duration) error {
	var err error = Reason(fmt.Sprintf("receiver answered %d", status))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusNotFound:
		err = RetryTimes(err, notFoundTries)
	case status >= 400 && status < 500 && !slices.Contains(temporary[:], status):
		return Permanent(err)
	}
	if wait > 0 {
		err = RetryAfter(err, wait)
	}
	return err
}

// temporary lists the 4xx statuses that may change with another attempt.
var temporary = [...]int{
	http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest,
	http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests,
}

// retryAfter returns the time that the header Retry-After asks to wait, given in
// seconds or as a date (RFC 9110 §10.2.3). It returns 0 if the header is missing or
// not valid.
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
