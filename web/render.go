package web

import (
	"bytes"
	"compress/gzip"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// layout is the frame of a page for who asks; nav is the entry that is marked.
func (s *Server) layout(c *gin.Context, nav string) view.Layout {
	lang := s.language(c)
	l := view.Layout{
		Now: s.app.Now(), Nav: nav, Version: s.version, Path: c.Request.URL.RequestURI(),
		Languages: s.pages.LanguageChoices(lang), Invalid: c.GetString(invalidKey),
	}
	if theme := s.own(c.Request, "theme"); theme == "light" || theme == "dark" {
		l.Theme = theme
	}
	if shownAway(c.Request.URL.Path) {
		l.Base, l.Languages = s.app.Config.PublicURL.String()+"/", nil
		return l
	}
	if asks, ok := c.Get(callerKey); ok {
		u := asks.(app.Caller).User
		l.Viewer, l.Admin = u.Username, u.Superuser
		for _, file := range s.app.GeoIPFiles() {
			if line := view.Attribution(file.Attribution); line.Text != "" && !slices.Contains(l.Attributions, line) {
				l.Attributions = append(l.Attributions, line)
			}
		}
	}
	return l
}

// language is the one that a page is to be in.
func (s *Server) language(c *gin.Context) string {
	return s.pages.Language(s.own(c.Request, "lang"), c.GetHeader("Accept-Language"))
}

// render answers with a page.
func (s *Server) render(c *gin.Context, status int, page string, data any) error {
	buf := drawn.Get().(*bytes.Buffer)
	defer drawn.Put(buf)
	buf.Reset()
	if err := s.pages.Render(buf, page, s.language(c), data); err != nil {
		return err
	}
	h := c.Writer.Header()
	if shownAway(c.Request.URL.Path) {
		h["Content-Security-Policy"] = []string{awayPolicy(s.app.Config)}
	}
	for name, value := range pageHeader {
		if h[name] == nil { // the sign-in page has a policy of its own
			h[name] = value
		}
	}
	h.Set("Vary", "Accept-Encoding, Accept-Language, Cookie")
	body := buf.Bytes()
	if !utf8.Valid(body) { // a query may hold any bytes
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if len(body) > minPacked && view.AcceptsGzip(c.GetHeader("Accept-Encoding")) {
		body = pack(body)
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.Data(status, "text/html; charset=utf-8", body)
	return nil
}

// drawn are buffers for one page each, which is written before they are used again.
var drawn = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// minPacked is about a packet: what fits in it is not made quicker by packing.
const minPacked = 1400

var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func pack(body []byte) []byte {
	var packed bytes.Buffer
	gz := packers.Get().(*gzip.Writer)
	defer packers.Put(gz)
	gz.Reset(&packed)
	_, _ = gz.Write(body) // a buffer takes everything
	_ = gz.Close()
	return packed.Bytes()
}

// renderError answers with what is wrong and what to do, in English keys.
func (s *Server) renderError(c *gin.Context, page view.ErrorPage) {
	page.Layout = s.layout(c, "")
	if err := s.render(c, page.Status, "error", &page); err != nil {
		s.log.Error("error page", "err", err)
		c.String(page.Status, http.StatusText(page.Status))
	}
}

// retryAfter is a BusyError in the header's whole seconds.
func retryAfter(busy *app.BusyError) string {
	return strconv.Itoa(max(1, int(math.Ceil(busy.RetryAfter.Seconds()))))
}

// loginPolicy is the Content-Security-Policy of pages whose form leads on to an app.
// Chromium holds form-action against every redirect that follows a form, those of the
// app included, which may lead anywhere.
var loginPolicy = []string{strings.Replace(contentSecurityPolicy, "form-action 'self'", "form-action *", 1)}
