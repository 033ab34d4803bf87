package listen

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"
)

// ServeHTTP implements http.Handler. It does for each request what all routes need,
// and calls Config.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.cfg.Now()
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
	defer cancel()
	rec := &recorder{ResponseWriter: w, stopping: &s.stopping}
	spanID := ""
	if s.cfg.Trace != nil {
		ctx, spanID, rec.endSpan = s.cfg.Trace(ctx, method(r.Method), r.Header)
	}
	id, err := requestID(r.Header[requestIDHeader], spanID, s.cfg.Rand)
	if err != nil {
		s.cfg.Logger.Error().Err(err).Msg("request id")
	}
	s.setHeaders(w.Header(), id, r.TLS != nil)
	if len(r.TransferEncoding) > 0 {
		// The request may have had a Content-Length too, which net/http hides. A proxy
		// may then have seen another end of the body (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	body := r.Body
	client := clientAddr(r, s.cfg.TrustedProxies)
	r = r.WithContext(&requestContext{ctx, id, client})
	if body != nil && body != http.NoBody {
		r.Body = http.MaxBytesReader(w, body, s.cfg.MaxBodyBytes)
	}
	s.metrics.inFlight.Inc()
	defer s.finish(rec, r, id, client, start)
	s.cfg.Handler.ServeHTTP(rec, r)
}

func (s *Server) setHeaders(h http.Header, id string, tls bool) {
	h.Set(requestIDHeader, id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if tls || s.cfg.HTTPS {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

// finish is deferred. It recovers from a panic of the handler, and logs and counts
// the request.
func (s *Server) finish(rec *recorder, r *http.Request, id string, client netip.Addr, start time.Time) {
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler { //nolint:errorlint // the value of a panic, not an error
		s.metrics.panics.Inc()
		s.cfg.Logger.Error().Ctx(r.Context()).Str("request_id", id).Str("panic", describe(cause)).
			Bytes("stack", debug.Stack()).Msg("handler panicked")
		if !rec.wroteHeader {
			answerPanic(rec, s.cfg.InternalError)
			cause = nil
		}
	}
	if cause == nil && !rec.wroteHeader {
		rec.WriteHeader(http.StatusOK) // as net/http does for a handler that writes nothing
	}
	duration := s.cfg.Now().Sub(start)
	pattern := r.Pattern
	if pattern == "" {
		pattern = "unmatched"
	}
	s.metrics.inFlight.Dec()
	if rec.endSpan != nil {
		rec.endSpan(pattern, rec.status)
	}
	s.metrics.observe(method(r.Method), pattern, rec.status, duration)
	s.cfg.Logger.Info().Ctx(r.Context()).
		Str("method", method(r.Method)).Str("pattern", pattern).
		Int("status", rec.status).Int64("bytes", rec.bytes).
		Float64("duration_ms", float64(duration.Microseconds())/1000).
		Str("request_id", id).Str("remote", shown(client)).
		Msg("request")
	if cause != nil {
		// A part of the answer has been sent. Only a broken connection shows the client
		// that it is incomplete.
		panic(http.ErrAbortHandler)
	}
}

// answerPanic answers a request whose handler panicked. The cause is in the log only.
func answerPanic(w http.ResponseWriter, body string) {
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Location", "Set-Cookie", "WWW-Authenticate", "Etag"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, body)
}

// describe describes the value of a panic for the log. It returns the text of
// runtime errors, which contain nothing of the request. Of other values it returns
// the type only.
func describe(cause any) string {
	if err, ok := cause.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", cause)
}

// method returns the method, or "OTHER" for unknown ones, so that clients cannot
// write text of their choice into the log.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "OTHER"
}
