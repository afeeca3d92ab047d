package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// checkDomainSuffix refuses a domain that is a public suffix, such as com,
// co.uk or duckdns.org: browsers drop a cookie set for one.
func checkDomainSuffix(domain string) error {
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return fmt.Errorf("%s is a public suffix, under which anybody may have a host, so browsers refuse the cookie: use a domain of your own below it", domain)
	}
	return nil
}

var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(false))

// maxHost bounds a name with its port, in bytes, before it is decoded, since what
// punycode costs grows with the square of its length. 253 are a name's bound in the
// DNS, in ASCII; in letters of other scripts it may be longer.
const maxHost = 512

// ParseHost splits what stands in a URL between // and the path into a name or
// address, in the one form that is compared (lower case, ASCII, no trailing
// dot, no brackets), and a port, which may be "". Whatever is neither, a user
// before an @ among it, is not ok.
func ParseHost(hostport string) (host, port string, ok bool) {
	if len(hostport) > maxHost {
		return "", "", false
	}
	if inner, isLiteral := strings.CutPrefix(hostport, "["); isLiteral {
		literal, rest, closed := strings.Cut(inner, "]")
		ip, err := netip.ParseAddr(literal)
		if !closed || err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", "", false
		}
		port, hasPort := strings.CutPrefix(rest, ":")
		return ip.Unmap().String(), port, rest == "" || hasPort && isPort(port)
	}
	host, port, hasPort := strings.Cut(hostport, ":")
	if hasPort && !isPort(port) {
		return "", "", false
	}
	host = strings.TrimSuffix(host, ".")
	if isName(host) && !strings.Contains(host, "xn--") { // as nearly all come
		return host, port, true
	}
	host = strings.ToLower(host)
	if strings.Contains(host, "xn--") || strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := lookup.ToASCII(host)
		if err != nil {
			return "", "", false
		}
		host = ascii
	}
	return host, port, isName(host)
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && len(port) <= 5
}

// isName reports whether a host is dot-separated labels of letters, digits,
// hyphens and, since some people have them, underscores.
func isName(host string) bool {
	if len(host) > 253 {
		return false
	}
	label := 0 // how long it is so far
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			if label++; label > 63 {
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return label > 0
}

// localNames end the names of machines in home and company networks, which nobody
// can have in the public DNS: RFC 6761, 6762 (with its appendix G), 8375.
var localNames = []string{".localhost", ".local", ".lan", ".home", ".home.arpa", ".internal", ".intranet", ".private", ".corp"}

// isLocal reports whether a name is one of those.
func isLocal(host string) bool {
	return slices.ContainsFunc(localNames, func(end string) bool { return strings.HasSuffix(host, end) })
}

// AnswersTo reports whether a host, in ParseHost's form, may be the name that a
// browser asks us by: one that the session's cookie reaches, an address, or a name that
// no stranger can make lead here, which is one without a dot or in a local network. An
// app's own name is none of ours.
func (c *Config) AnswersTo(host string) bool {
	if c.Reaches(host) || c.OwnCookie(host) {
		return c.Reaches(host)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || isLocal(host)
}

// Reaches reports whether the session's cookie reaches a host, in ParseHost's form: the
// public URL's own, or one under the cookie domain.
func (c *Config) Reaches(host string) bool {
	return host != "" && (under(host, c.CookieDomain) || host == c.ownHost())
}

// Guards reports whether the gate guards a host, in ParseHost's form: one that Apps
// name or, when they name none, that the session's cookie reaches.
func (c *Config) Guards(host string) bool {
	if len(c.Apps) == 0 {
		return c.Reaches(host)
	}
	return slices.ContainsFunc(c.Apps, func(app string) bool {
		end, wild := strings.CutPrefix(app, "*")
		return app == host || wild && strings.HasSuffix(host, end)
	})
}

// OwnCookie reports whether a host is guarded and gets a cookie of its own, since the
// session's does not reach it.
func (c *Config) OwnCookie(host string) bool {
	return len(c.Apps) > 0 && c.Guards(host) && !c.Reaches(host)
}

// LeadsTo reports whether a sign-in may lead to a host: our own, or a guarded one.
func (c *Config) LeadsTo(host string) bool {
	return c.Guards(host) || host != "" && host == c.ownHost()
}

// ownHost is the public URL's, in ParseHost's form, or "".
func (c *Config) ownHost() string {
	if c.PublicURL == nil {
		return ""
	}
	host, _, _ := ParseHost(c.PublicURL.Host)
	return host
}

func under(host, domain string) bool {
	rest, ok := strings.CutSuffix(host, domain)
	return ok && domain != "" && (rest == "" || strings.HasSuffix(rest, "."))
}
