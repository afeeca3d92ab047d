package cli

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"

	"lastseen/app/config"

	"github.com/urfave/cli/v3"
	"golang.org/x/net/publicsuffix"
)

//go:embed snippets
var snippetFiles embed.FS

var snippets = sync.OnceValue(func() *template.Template { return template.Must(template.New("").ParseFS(snippetFiles, "snippets/*")) })

// snippetNames are the files of proxies, by what they are asked for as.
var snippetNames = []struct{ proxy, file string }{
	{"nginx", "nginx.conf"},
	{"npm", "npm.conf"},
	{"traefik", "traefik.yml"},
	{"traefik-labels", "traefik-labels.yml"},
	{"caddy", "Caddyfile"},
	{"envoy", "envoy.yaml"},
}

func (p *Program) snippetCommand() *cli.Command {
	return &cli.Command{
		Name: "proxy-snippet", Usage: "print a proxy's configuration with this instance's own names: nginx, npm (Nginx Proxy Manager), traefik, traefik-labels, caddy or envoy",
		ArgsUsage: "PROXY", Action: p.proxySnippet,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "app", Usage: "host name of the `APP` to guard, as browsers use it (default: the first of --apps, or app. and the cookie domain)"},
			&cli.StringFlag{Name: "upstream", Value: "127.0.0.1:8080", Usage: "where the proxy reaches the app: `HOST:PORT`"},
		},
	}
}

// A proxySnippet is what the templates are filled with.
type proxySnippet struct {
	Public, AppURL     string // URLs without a path
	Host, App          string // names without port
	HostPort, AppHost  string // as the Host header has them
	Port, AppPort      string // where the proxy listens
	TLS                bool
	Remote             bool   // with Authelia's headers
	Domain, AppDomain  string // for the paths of certificates
	Domains            []string
	Lastseen, Upstream string // addresses with port
	LastseenPort       string
	UpstreamPort       string
	Label, EntryPoint  string
	Settings           string // of Lastseen itself
	Identity           []identityHeader
	Aliases            []string // all spellings of their names that an app may take for one
	Claims             []string
	Cleared            []string // claims but those that are set to something
	Cookies            []cookieMap
	MaxBack            int    // bytes of a path and query that a sign-in leads back to
	Host80, App80      string // names of which port 80 leads to 443, or ""
	Clusters           []cluster
}

type identityHeader struct{ Name, Lower, Variable string }

func newIdentityHeader(name string) identityHeader {
	lower := strings.ToLower(name)
	return identityHeader{name, lower, strings.ReplaceAll(lower, "-", "_")}
}

type cluster struct{ Name, Host, Port string }

// A cookieMap takes the cookies of one name out of what an app gets. nginx's maps
// make a chain.
type cookieMap struct{ Name, Pattern, From, To string }

// claims are headers in which some programs believe who asks, from where, and for
// what: the proxy takes them away. Those that it sets itself are not among them.
var claims = []string{"Forwarded", "True-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "CF-IPCountry", "CF-Visitor", "Fastly-Client-IP", "Fly-Client-IP",
	"Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "X-ProxyUser-Ip", "X-Envoy-External-Address",
	"X-Original-URL", "X-Original-URI", "X-Original-Host", "X-Original-Method", "X-Original-For", "X-Original-Proto", "X-Rewrite-URL",
	"X-Forwarded", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X-Forwarded-Uri", "X-Forwarded-URL", "X-Forwarded-Method", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Port",
	"X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Forwarded-Ssl", "X-Forwarded-By", "X-Forwarded-Client-Cert", "X-Url-Scheme", "Front-End-Https",
	"X-Host", "X-HTTP-Host-Override", "Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Remote-User", "X-Remote-Group", "X-Remote-Email",
	"X-User", "X-Webauth-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username"}

// identity are the headers that the gate answers with.
var identity = []string{"username", "groups", "entitlements", "email", "name", "uid", "jwt",
	"meta-jwks", "meta-outpost", "meta-provider", "meta-app", "meta-version"}

func (p *Program) proxySnippet(_ context.Context, c *cli.Command) error {
	args := c.Args().Slice()
	cfg, _, _, err := p.settingsBeside(c)
	if err != nil {
		return err
	}
	for _, s := range snippetNames {
		if s.proxy != args[0] {
			continue
		}
		data, err := newProxySnippet(cfg, c.String("app"), c.String("upstream"))
		if err != nil {
			return usageError{err}
		}
		return snippets().ExecuteTemplate(p.Out, s.file, data)
	}
	return usagef("there is no snippet for %q; see `lastseen proxy-snippet --help`", args[0])
}

func newProxySnippet(cfg config.Config, host, upstream string) (proxySnippet, error) {
	listenHost, listenPort, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return proxySnippet{}, fmt.Errorf("--listen: %w", err)
	}
	if ip, err := netip.ParseAddr(listenHost); listenHost == "" || err == nil && ip.IsUnspecified() {
		listenHost = "127.0.0.1"
	}
	if listenPort == "0" {
		return proxySnippet{}, fmt.Errorf("--listen: a proxy needs the port, is %q", cfg.Listen)
	}
	s := proxySnippet{Lastseen: net.JoinHostPort(listenHost, listenPort), LastseenPort: listenPort, Upstream: upstream, EntryPoint: "web"}
	upstreamHost, upstreamPort, err := net.SplitHostPort(upstream)
	if err != nil || upstreamHost == "" || strings.ContainsAny(upstream, " ;{}\"'`\\/$#") {
		return s, fmt.Errorf("--upstream: must be HOST:PORT, is %q", upstream)
	}
	s.UpstreamPort = upstreamPort

	public := cfg.PublicURL
	if public == nil {
		return s, errors.New("--public-url: needed, browsers are led there to sign in")
	}
	s.Public, s.HostPort = public.String(), public.Host
	s.Host, s.Port, _ = config.ParseHost(public.Host)
	s.TLS = public.Scheme == "https"
	if s.TLS {
		s.EntryPoint = "websecure"
	}

	if host == "" {
		host = firstApp(cfg)
	}
	if host == "" {
		return s, errors.New("--app: needed, or --apps or --cookie-domain for a name of one")
	}
	name, port, ok := config.ParseHost(host)
	if !ok {
		return s, fmt.Errorf("--app: %q is no host name", host)
	}
	if !cfg.Guards(name) {
		return s, fmt.Errorf("--app: the gate does not guard %s: name it in --apps or, without those, set --cookie-domain to a domain that it and %s are under", name, public)
	}
	s.Domain, s.AppDomain = certificateDomain(cfg, s.Host), certificateDomain(cfg, name)
	s.Domains = slices.Compact([]string{s.Domain, s.AppDomain})
	if name == s.Host {
		return s, fmt.Errorf("--app: %s is where people sign in, the app needs another name", name)
	}
	port = cmp.Or(port, s.Port) // as a rule a proxy serves all its hosts on one
	s.App, s.AppHost = name, name
	if port != "" {
		s.AppHost = net.JoinHostPort(name, port)
	}
	s.AppURL = public.Scheme + "://" + s.AppHost
	standard := map[bool]string{true: "443", false: "80"}[s.TLS]
	s.Port, s.AppPort = cmp.Or(s.Port, standard), cmp.Or(port, standard)
	s.Label = strings.NewReplacer(".", "-", "_", "-", ":", "-").Replace(name)

	settings := []string{"--public-url " + s.Public}
	if cfg.CookieDomain != "" {
		settings = append(settings, "--cookie-domain "+cfg.CookieDomain)
	}
	if cfg.CookieName != "lastseen_session" {
		settings = append(settings, "--cookie-name "+cfg.CookieName)
	}
	if len(cfg.Apps) > 0 {
		settings = append(settings, "--apps "+shellQuote(strings.Join(cfg.Apps, ",")))
	}
	trusted := "127.0.0.1"
	if len(cfg.TrustedProxies) > 0 {
		var all []string
		for _, prefix := range cfg.TrustedProxies {
			all = append(all, prefix.String())
		}
		trusted = strings.Join(all, ",")
	}
	s.Settings = strings.Join(append(settings, "--trusted-proxies "+trusted), " ")
	for _, header := range identity {
		s.Identity = append(s.Identity, newIdentityHeader("X-authentik-"+header))
	}
	if s.Remote = cfg.RemoteUser; s.Remote {
		for _, header := range []string{"User", "Groups", "Email", "Name"} {
			s.Identity = append(s.Identity, newIdentityHeader("Remote-"+header))
		}
		s.Settings += " --identity-headers authelia"
	}
	s.Cleared = slices.Clone(claims)
	for _, header := range s.Identity {
		s.Aliases = append(s.Aliases, slices.DeleteFunc(aliases(header.Name), func(name string) bool { return slices.Contains(claims, name) })...)
		s.Cleared = slices.DeleteFunc(s.Cleared, func(name string) bool { return name == header.Name })
	}
	s.Claims, s.MaxBack = claims, 7500 // within the bound of a target, with the host before it
	if s.TLS && s.Port == "443" {
		s.Host80 = s.Host
	}
	if s.TLS && s.AppPort == "443" {
		s.App80 = s.App
	}
	s.Cookies = []cookieMap{
		{"lastseen_1", regexp.QuoteMeta(cfg.CookieName), "$http_cookie", "$lastseen_cookie_1"},
		{"lastseen_2", "(?:__Host-)?lastseen_app", "$lastseen_cookie_1", "$lastseen_cookie"},
	}
	s.Clusters = []cluster{{"lastseen", listenHost, listenPort}, {s.Label, upstreamHost, upstreamPort}}
	return s, nil
}

// firstApp is a host that is guarded, or "".
func firstApp(cfg config.Config) string {
	if len(cfg.Apps) > 0 {
		return strings.Replace(cfg.Apps[0], "*", "app", 1)
	}
	if cfg.CookieDomain != "" {
		return "app." + cfg.CookieDomain
	}
	return ""
}

// certificateDomain is what a host's certificate is filed under: the domain that it
// shares with others, as far as that is known.
func certificateDomain(cfg config.Config, host string) string {
	if domain := cfg.CookieDomain; domain != "" && strings.HasSuffix("."+host, "."+domain) {
		return domain
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return domain
}

// shellQuote is a value as one types it, where that holds a *.
func shellQuote(value string) string {
	if strings.Contains(value, "*") {
		return "'" + value + "'"
	}
	return value
}

// aliases are a name with each of its dashes as a dash or an underscore: apps
// that turn headers into variables cannot tell these apart.
func aliases(name string) []string {
	before, after, ok := strings.Cut(name, "-")
	if !ok {
		return []string{name}
	}
	var all []string
	for _, rest := range aliases(after) {
		all = append(all, before+"-"+rest, before+"_"+rest)
	}
	return all
}
