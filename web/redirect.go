package web

import (
	"net/url"
	"strings"
)

// homePath is where one goes who asked for nothing else.
const homePath = "/sessions"

// target is where a sign-in may lead: the one place that decides on it. A path
// with a single leading slash is ours; an http or https URL must be for the
// public URL's host or a host under the cookie domain, on any port. It is
// rebuilt from its parts, and whatever else was asked for becomes ok == false.
func (s *Server) target(rd string) (safe string, ok bool) {
	// Browsers take a backslash for a slash, and drop tabs and line ends.
	if rd == "" || len(rd) > 8<<10 || strings.ContainsFunc(rd, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "", false
	}
	u, err := url.Parse(rd)
	if err != nil || u.Opaque != "" || u.User != nil || strings.Contains(u.Host, "@") {
		return "", false
	}
	path := u.EscapedPath()
	if strings.HasPrefix(path, "//") {
		return "", false
	}
	if u.Scheme == "" && u.Host == "" {
		if !strings.HasPrefix(rd, "/") || strings.HasPrefix(rd, "//") {
			return "", false
		}
		return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}).String(), true
	}
	if u.Scheme != "http" && u.Scheme != "https" || !s.reachable(u.Hostname()) {
		return "", false
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery,
		Fragment: u.Fragment, RawFragment: u.RawFragment}).String(), true
}

// reachable reports whether our cookie reaches a host: the public URL's own, or
// one under the cookie domain.
func (s *Server) reachable(host string) bool {
	host = canonicalHost(host)
	if host == "" {
		return false
	}
	domain := s.app.Config.CookieDomain
	return host == canonicalHost(s.app.Config.PublicURL.Hostname()) ||
		domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}

// canonicalHost is a host name, without port, in the form that is compared.
func canonicalHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }
