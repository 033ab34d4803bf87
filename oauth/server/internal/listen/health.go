package listen

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// opsHandler serves health, readiness and metrics, on an address of their own.
func (s *Server) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answerHealth(w, http.StatusOK, `{"status":"ok"}`)
	})
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{Timeout: opsTimeout}))
	return mux
}

// withHealth serves /healthz besides next, for load balancers that ask the address that
// they send requests to. It asks no database, because everybody can call it.
func (s *Server) withHealth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/healthz" || r.Method != http.MethodGet && r.Method != http.MethodHead:
			next.ServeHTTP(w, r)
			return
		case s.stopping.Load():
			answerHealth(w, http.StatusServiceUnavailable, `{"status":"stopping"}`)
		default:
			answerHealth(w, http.StatusOK, `{"status":"ok"}`)
		}
		r.Pattern = "GET /healthz" // for the log and the metrics: no mux sees the request
	})
}

// ready answers 200 if the server can take requests, with how it learns of changes, and
// 503 otherwise, with the reason. The error itself is in the log.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		answerHealth(w, http.StatusServiceUnavailable, `{"status":"stopping"}`)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), opsTimeout)
	defer cancel()
	changes, reason, err := s.cfg.Ready(ctx)
	if err != nil {
		s.cfg.Logger.Warn().Err(err).Str("reason", reason).Msg("not ready")
		answerHealth(w, http.StatusServiceUnavailable, `{"status":"unavailable"`+member("reason", reason)+`}`)
		return
	}
	answerHealth(w, http.StatusOK, `{"status":"ready"`+member("changes", changes)+`}`)
}

// member returns a further member of a JSON object, or nothing if it is empty.
func member(name, text string) string {
	if text == "" {
		return ""
	}
	value, _ := json.Marshal(text) // a string has an encoding
	return `,"` + name + `":` + string(value)
}

func answerHealth(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body + "\n"))
}
