package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"lastseen/app/config"
)

// An asked is the request to an app that a proxy asks about.
type asked struct {
	scheme     string // http or https
	host, port string // in the form that is compared; port may be ""
	path       string // as it came, still encoded
	query      string // with its ?, or ""
}

// url is the address in the browser, as far as a sign-in may lead there.
func (a asked) url() string {
	host := a.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if a.port != "" {
		host = net.JoinHostPort(a.host, a.port)
	}
	return a.scheme + "://" + host + a.path + strings.ReplaceAll(a.query, `\`, "%5C")
}

// single is the value of a header that may come once. Empty is malformed.
func single(h http.Header, name string) (value string, ok bool, err error) {
	switch values := h[name]; {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", true, fmt.Errorf("%w: %s is repeated", errForwarded, name)
	case values[0] == "":
		return "", true, fmt.Errorf("%w: %s is empty", errForwarded, name)
	default:
		return values[0], true, nil
	}
}

// required is single of a header without which there is no URL.
func required(h http.Header, name string) (string, error) {
	value, ok, err := single(h, name)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s is missing", errForwarded, name)
	}
	return value, err
}

// forwarded reads the headers of Traefik and Caddy.
func forwarded(r *http.Request) (asked, error) {
	proto, protoErr := required(r.Header, "X-Forwarded-Proto")
	host, hostErr := required(r.Header, "X-Forwarded-Host")
	uri, uriErr := required(r.Header, "X-Forwarded-Uri")
	methodErr := checkMethod(r.Header, "X-Forwarded-Method")
	if err := errors.Join(protoErr, hostErr, uriErr, methodErr); err != nil {
		return asked{}, err
	}
	return newAsked(proto, host, uri)
}

// forwardedByNginx reads X-Original-URL, or X-Original-URI with the Host
// header. Its configuration sets one of the two, and nginx lets the other one
// through as the client sent it, so that both together are refused.
func (s *Server) forwardedByNginx(r *http.Request) (asked, error) {
	if err := checkMethod(r.Header, "X-Original-Method"); err != nil {
		return asked{}, err
	}
	full, hasURL, err := single(r.Header, "X-Original-Url")
	if err != nil {
		return asked{}, err
	}
	uri, hasURI, err := single(r.Header, "X-Original-Uri")
	switch {
	case err != nil:
		return asked{}, err
	case hasURL == hasURI:
		return asked{}, fmt.Errorf("%w: either X-Original-URL or X-Original-URI must be there", errForwarded)
	case hasURI:
		return newAsked(s.appScheme(r), r.Host, uri)
	}
	return askedURL(full)
}

// askedURL reads what is asked about from a whole URL.
func askedURL(full string) (asked, error) {
	scheme, host, _ := strings.Cut(full, "://")
	uri := ""
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host, uri = host[:i], host[i:]
	}
	if !strings.HasPrefix(uri, "/") {
		uri = "/" + uri
	}
	return newAsked(scheme, host, uri)
}

// forwardedByEnvoy reads the path behind our prefix and the Host header.
// X-Forwarded-Host counts only where Envoy addresses us by our own name, and
// otherwise must not contradict.
func (s *Server) forwardedByEnvoy(r *http.Request) (asked, error) {
	uri, ok := strings.CutPrefix(r.RequestURI, envoyPrefix)
	if !ok {
		return asked{}, fmt.Errorf("%w: not below %s", errForwarded, envoyPrefix)
	}
	proto, ok, protoErr := single(r.Header, "X-Forwarded-Proto")
	if !ok {
		proto = s.app.Config.PublicURL.Scheme // Envoy sends no header that it was not told to
	}
	host := r.Host
	forwardedHost, ok, hostErr := single(r.Header, "X-Forwarded-Host")
	if err := errors.Join(protoErr, hostErr, checkMethod(r.Header, "X-Forwarded-Method")); err != nil {
		return asked{}, err
	}
	if ok && forwardedHost != host {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if host != s.app.Config.PublicURL.Host && (local == nil || host != local.String()) {
			return asked{}, fmt.Errorf("%w: Host and X-Forwarded-Host differ", errForwarded)
		}
		host = forwardedHost
	}
	return newAsked(proto, host, uri)
}

// checkMethod refuses what is no method. Which one it is only rules for methods ask.
func checkMethod(h http.Header, name string) error {
	method, ok, err := single(h, name)
	if err == nil && ok && strings.ContainsFunc(method, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' && r != '_' }) {
		err = fmt.Errorf("%w: %s is no method", errForwarded, name)
	}
	return err
}

// newAsked checks and joins what a proxy says of a URL.
func newAsked(scheme, hostport, uri string) (asked, error) {
	a := asked{scheme: strings.ToLower(scheme)}
	switch a.scheme {
	case "http", "https":
	case "ws", "wss":
		a.scheme = "http" + strings.TrimPrefix(a.scheme, "ws")
	default:
		return asked{}, fmt.Errorf("%w: scheme %.100q", errForwarded, scheme)
	}
	var ok bool
	if a.host, a.port, ok = config.ParseHost(hostport); !ok {
		return asked{}, fmt.Errorf("%w: host %.100q", errForwarded, hostport)
	}
	a.path = uri
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		a.path, a.query = uri[:i], uri[i:]
	}
	_, err := url.PathUnescape(a.path)
	if err != nil || !strings.HasPrefix(a.path, "/") || strings.Contains(a.path, `\`) || !plain(uri) {
		return asked{}, fmt.Errorf("%w: path or query", errForwarded)
	}
	return a, nil
}

// plain reports whether a path and query have no space, control character or #.
func plain(uri string) bool {
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c == '#' || c == 0x7f {
			return false
		}
	}
	return true
}
