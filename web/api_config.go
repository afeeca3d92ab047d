package web

import (
	"net/http"

	"lastseen/geoip"

	"github.com/gin-gonic/gin"
)

// configJSON is authentik's Config: what 2024.8 and 2026.8 require.
type configJSON struct {
	ErrorReporting struct {
		Enabled          bool    `json:"enabled"`
		SentryDSN        string  `json:"sentry_dsn"`
		Environment      string  `json:"environment"`
		SendPII          bool    `json:"send_pii"`
		TracesSampleRate float64 `json:"traces_sample_rate"`
	} `json:"error_reporting"`
	Capabilities           []string `json:"capabilities"`
	CacheTimeout           int      `json:"cache_timeout"`
	CacheTimeoutFlows      int      `json:"cache_timeout_flows"`
	CacheTimeoutPolicies   int      `json:"cache_timeout_policies"`
	CacheTimeoutReputation int      `json:"cache_timeout_reputation"`
}

// getConfig says what this server can do. The other keys are there since clients
// require them, with authentik's own defaults; nothing is reported to anybody.
func (s *Server) getConfig(c *gin.Context) error {
	config := configJSON{
		Capabilities: []string{},
		CacheTimeout: 300, CacheTimeoutFlows: 300, CacheTimeoutPolicies: 300, CacheTimeoutReputation: 300,
	}
	for _, file := range s.app.GeoIPFiles() {
		if file.State != geoip.Loaded {
			continue
		}
		switch file.Kind {
		case "city":
			config.Capabilities = append(config.Capabilities, "can_geo_ip")
		case "asn":
			config.Capabilities = append(config.Capabilities, "can_asn")
		}
	}
	writeJSON(c, http.StatusOK, config)
	return nil
}
