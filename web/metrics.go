package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// ServeMetrics answers /metrics in the Prometheus text format, on a listener of
// its own, until ctx ends. No metric names a user or an address.
func (s *Server) ServeMetrics(ctx context.Context, listener net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.metrics.WritePrometheus(w)
		if sessions, users, err := s.app.Counts(r.Context()); err == nil {
			metrics.WriteGaugeUint64(w, "lastseen_sessions", uint64(sessions))
			metrics.WriteGaugeUint64(w, "lastseen_users", uint64(users))
		}
		if work, err := s.app.AlertWork(r.Context()); err == nil {
			metrics.WriteGaugeUint64(w, "lastseen_alerts_waiting", uint64(work.New+work.Held+work.Deliveries))
		}
		if problems, err := s.app.AlertProblems(r.Context()); err == nil {
			at := uint64(0) // of a target that got nothing since; 0 when all is well
			if len(problems) > 0 {
				at = uint64(problems[0].Created.Unix())
			}
			metrics.WriteGaugeUint64(w, "lastseen_alert_failure_timestamp_seconds", at)
		}
		metrics.WriteProcessMetrics(w)
	})
	server := &http.Server{Handler: s.onlyNamed(mux), ReadTimeout: s.readWithin, WriteTimeout: 30 * time.Second, MaxHeaderBytes: maxHeaders}
	s.log.Info("metrics", "address", listener.Addr().String())
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(s.listen(listener)); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("no more metrics", "err", err)
	}
}

// count notes a request for the metrics, by its route's pattern.
func (s *Server) count(method, route string, status int, took time.Duration) {
	if s.app.Config.MetricsListen == "" {
		return
	}
	if route == "" {
		route, method = "none", "any" // strangers choose neither
	}
	labels := `{method="` + method + `",route="` + route + `",status="` + strconv.Itoa(status) + `"}`
	s.metrics.GetOrCreateCounter("lastseen_requests_total" + labels).Inc()
	s.metrics.GetOrCreatePrometheusHistogram(`lastseen_request_duration_seconds{route="` + route + `"}`).Update(took.Seconds())
}
