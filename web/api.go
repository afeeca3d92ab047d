package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

const apiPrefix = "/api/v3"

// An apiRoute is one path of the API and what its methods do. HEAD comes with
// GET, OPTIONS with everything, and every other method is 405.
type apiRoute struct {
	path    string // below apiPrefix
	name    string // for OPTIONS
	open    bool   // needs no sign-in
	picks   bool   // the handler itself looks at what is accepted
	session bool   // it is of one session
	get     handler
	delete  handler
}

func (s *Server) addAPI(r *gin.Engine, route apiRoute) {
	var allowed []string
	methods := map[string]handler{}
	if route.get != nil {
		allowed = append(allowed, "GET")
		methods["GET"], methods["HEAD"] = route.get, route.get
	}
	if route.delete != nil {
		allowed = append(allowed, "DELETE")
		methods["DELETE"] = route.delete
	}
	if route.get != nil {
		allowed = append(allowed, "HEAD")
	}
	allow := []string{strings.Join(append(allowed, "OPTIONS"), ", ")} // for all answers
	methods["OPTIONS"] = func(c *gin.Context) error {
		writeJSON(c, http.StatusOK, map[string]any{"name": route.name, "description": "",
			"renders": []string{"application/json"}, "parses": []string{"application/json"}})
		return nil
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		h, ok := methods[method]
		if !ok {
			h = func(*gin.Context) error { return errNoMethod }
		}
		r.Handle(method, apiPrefix+route.path, s.handle(func(c *gin.Context) error {
			// In authentik's order: what is accepted, who asks, which method, what for.
			if !route.picks && !acceptsJSON(c.Request.Header["Accept"]) {
				return errNotAcceptable
			}
			if route.session {
				if ctx := s.app.ExpectSession(c.Request.Context(), c.Param("uuid")); ctx != c.Request.Context() {
					c.Request = c.Request.WithContext(ctx)
				}
			}
			if !route.open {
				if _, err := s.byBearerOrCookie(c); err != nil {
					return err
				}
			}
			c.Writer.Header()["Allow"] = allow
			return h(c)
		}))
	}
}

// maxPath bounds a path that is compared with our routes, in bytes.
const maxPath = 1 << 10

// noRoute answers for every path that is none of ours.
func (s *Server) noRoute(c *gin.Context) error {
	path := c.Request.URL.Path
	if len(path) <= maxPath && isAPI(path) && !strings.HasSuffix(path, "/") {
		for _, route := range s.engine.Routes() {
			if samePattern(route.Path, path+"/") {
				return &detailError{errNoPage, fmt.Sprintf("Not found. Did you mean %s/ with a slash at its end?", path)}
			}
		}
	}
	return errNoPage
}

// samePattern reports whether a path fits a route's pattern.
func samePattern(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, ":") && g != "" })
}

func (s *Server) noMethod(c *gin.Context) error {
	if isGateAuth(c.Request.URL.Path) {
		c.Writer.Header().Del("Allow")
		return s.gate(c)
	}
	if isAPI(c.Request.URL.Path) {
		if _, err := s.byBearerOrCookie(c); err != nil {
			return err
		}
	}
	return errNoMethod
}
