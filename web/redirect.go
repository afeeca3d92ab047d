package web

import (
	"net/url"
	"strings"

	"lastseen/app/config"
)

// homePath is where one goes who asked for nothing else.
const homePath = "/sessions"

// target is where a sign-in may lead: the one place that decides on it. A path
// with a single leading slash is ours; an http or https URL must be for the
// public URL's host or a guarded one, on any port. It is
// rebuilt from its parts, and whatever else was asked for becomes ok == false.
func (s *Server) target(rd string) (safe string, ok bool) {
	// Browsers take a backslash for a slash, and drop tabs and line ends.
	if rd == "" || len(rd) > maxTarget || strings.ContainsFunc(rd, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "", false
	}
	u, err := url.Parse(rd)
	if err != nil || u.Opaque != "" || u.User != nil || strings.Contains(u.Host, "@") || strings.HasPrefix(u.EscapedPath(), "//") {
		return "", false
	}
	ours := u.Scheme == "" && u.Host == "" && strings.HasPrefix(rd, "/") && !strings.HasPrefix(rd, "//")
	if !ours && (u.Scheme != "http" && u.Scheme != "https" || !s.reachable(u.Host)) {
		return "", false
	}
	safe = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery,
		Fragment: u.Fragment, RawFragment: u.RawFragment}).String()
	if len(url.QueryEscape(safe)) > maxTarget {
		return "", false
	}
	return safe, true
}

// rd is where a sign-in is to lead: to what was asked for, if it is safe; on a host
// that it may lead to, else to that host's root, for what no redirect may hold or is
// too long for one; or else to one's sessions.
func (s *Server) rd(asked string) string {
	target, ok := s.target(asked)
	if !ok {
		target, ok = s.target(root(asked))
	}
	if path, _, _ := strings.Cut(target, "?"); !ok || path == "/login" || path == "/" {
		return homePath
	}
	return target
}

// root is the root of a URL's host, or "".
func root(rd string) string {
	host, ok := hostOf(rd)
	if !ok {
		return ""
	}
	scheme, _, _ := strings.Cut(rd, "://")
	return scheme + "://" + host + "/"
}

// hostOf is what stands in a URL between // and the path, if there is that.
func hostOf(rd string) (host string, ok bool) {
	_, rest, ok := strings.Cut(rd, "://")
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		rest = rest[:i]
	}
	return rest, ok && rest != ""
}

// maxTarget bounds a target, in bytes as it stands in the sign-in page's address: with
// what is before it, that fits into the 8 KB that nginx takes of a request line unless
// it is told otherwise.
const maxTarget = 7500

// reachable reports whether a sign-in may lead to the host of a URL.
func (s *Server) reachable(hostport string) bool {
	host, _, ok := config.ParseHost(hostport)
	return ok && s.app.Config.LeadsTo(host)
}
