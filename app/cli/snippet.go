package cli

import (
	"context"
	"embed"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"text/template"

	"lastseen/app"

	"github.com/urfave/cli/v3"
)

//go:embed snippets
var snippetFiles embed.FS

var snippets = template.Must(template.ParseFS(snippetFiles, "snippets/*"))

// snippetNames are the proxies and their templates.
var snippetNames = map[string]string{"nginx": "nginx.conf", "caddy": "Caddyfile", "traefik": "traefik.yml", "envoy": "envoy.yml"}

// A snippet is what the templates fill in.
type snippet struct {
	App              string // as in the browser, with a port if that is not the scheme's own
	Host, Port       string
	Label            string // Host as a name within a configuration
	TLS              bool
	PublicURL        string
	Lastseen         string // host:port, as the proxy reaches it
	Upstream         string
	LastseenEndpoint string
	UpstreamEndpoint string
	Headers          []snippetHeader
	Aliases          []string // all spellings of their names that an app may take for one
}

// A snippetHeader is one that tells the app who asks, with nginx's variables for it.
type snippetHeader struct{ Name, Variable, Upstream string }

func (p *Program) snippetCommand() *cli.Command {
	return &cli.Command{
		Name: "proxy-snippet", Usage: "print a configuration that guards an app", ArgsUsage: "nginx|traefik|caddy|envoy", Action: p.proxySnippet,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "app", Usage: "`HOST` of the app in the browser (default: app under the cookie domain)"},
			&cli.StringFlag{Name: "upstream", Value: "127.0.0.1:8080", Usage: "`ADDR` of the app behind the proxy"},
		},
	}
}

func (p *Program) proxySnippet(_ context.Context, c *cli.Command) error {
	args, err := arguments(c)
	if err != nil {
		return err
	}
	name, ok := snippetNames[args[0]]
	if !ok {
		return usagef("there is no snippet for %q: ask for nginx, traefik, caddy or envoy", args[0])
	}
	config, _, err := p.settings(c)
	if err != nil {
		return err
	}
	s, err := newSnippet(config, c.String("app"), c.String("upstream"))
	if err != nil {
		return err
	}
	return snippets.ExecuteTemplate(p.Out, name, s)
}

func newSnippet(config app.Config, appHost, upstream string) (snippet, error) {
	if config.PublicURL == nil {
		return snippet{}, usagef("--public-url: needed, a browser is sent there to sign in")
	}
	if appHost == "" {
		if config.CookieDomain == "" {
			return snippet{}, usagef("--app: needed, or --cookie-domain for a name under it")
		}
		appHost = "app." + config.CookieDomain
	}
	host, port, ok := app.ParseHost(appHost)
	if !ok {
		return snippet{}, usagef("--app: %q is no host", appHost)
	}
	if !config.Reaches(host) {
		return snippet{}, usagef("--app: the cookie of %s does not reach %s: set --cookie-domain to a domain that both are under", config.PublicURL, host)
	}
	if _, _, err := net.SplitHostPort(upstream); err != nil {
		return snippet{}, usagef("--upstream: must be HOST:PORT, is %q", upstream)
	}
	s := snippet{
		App: appHost, Host: host, Port: port, Label: strings.NewReplacer(".", "-", ":", "-").Replace(host),
		TLS: config.PublicURL.Scheme == "https", PublicURL: config.PublicURL.String(), Lastseen: reachedAt(config.Listen), Upstream: upstream,
	}
	if s.Port == "" {
		s.Port = map[bool]string{true: "443", false: "80"}[s.TLS]
	}
	s.LastseenEndpoint, s.UpstreamEndpoint = endpoint("lastseen", s.Lastseen), endpoint(s.Label, upstream)
	for _, suffix := range []string{"username", "groups", "entitlements", "email", "name", "uid", "jwt", "meta-jwks", "meta-outpost", "meta-provider", "meta-app", "meta-version"} {
		plain := strings.ReplaceAll(suffix, "-", "_")
		s.Aliases = append(s.Aliases, aliases("X-authentik-"+suffix)...)
		s.Headers = append(s.Headers, snippetHeader{"X-authentik-" + suffix, "lastseen_" + plain, "x_authentik_" + plain})
	}
	return s, nil
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

// reachedAt is where a proxy on this machine finds what listens there.
func reachedAt(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip, parseErr := netip.ParseAddr(host); err == nil && (host == "" || parseErr == nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// endpoint is an address in Envoy's form.
func endpoint(cluster, address string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("{cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %q, port_value: %s}}}}]}]}", cluster, host, port)
}
