package main

import (
	"encoding/json"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

// A fixed answer is what the floor gives to every request: the bytes that ours
// gave to one.
type fixedAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// serveFloor answers with the fixed answer in a file, through net/http alone or gin, or
// after it has asked the database at a URL SELECT 1.
func serveFloor(kind, address, file, database string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var fixed fixedAnswer
	if err := json.Unmarshal(text, &fixed); err != nil {
		return err
	}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, values := range fixed.Header {
			h[name] = values
		}
		w.WriteHeader(fixed.Status)
		w.Write(fixed.Body)
	})
	if kind == "gin" {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		answer := func(c *gin.Context) {
			h := c.Writer.Header()
			for name, values := range fixed.Header {
				h[name] = values
			}
			c.Status(fixed.Status)
			c.Writer.Write(fixed.Body)
		}
		r.GET("/api/v3/core/authenticated_sessions/:uuid/", answer)
		r.GET("/outpost.goauthentik.io/auth/nginx", answer)
		r.GET("/", answer)
		handler = r
	}
	if kind == "SELECT 1" {
		s, err := newSelector(database)
		if err != nil {
			return err
		}
		bare := handler
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := s.ask(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			bare.ServeHTTP(w, r)
		})
	}
	return http.ListenAndServe(address, handler)
}
