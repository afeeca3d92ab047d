package demo

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"lastseen/app/config"
)

// An App is a small web app that the gate guards. Browsers and curl take its host, which
// ends in localhost, for this machine.
type App struct {
	Host  string
	Title string
	Text  string
	Hint  string
	Group string // the only one that may reach it, "" for everybody who is signed in
	Open  string // a path that needs no sign-in, or ""
	URL   string // where it is served, with a slash
}

// apps are all there are; where they are served is known when they are.
var apps = []App{
	{Host: "notes.localhost", Title: "Notes", Text: "A notebook for everybody who is signed in.", Hint: "Its /about is open to all.", Open: "/about"},
	{Host: "photos.localhost", Title: "Photos", Text: "The family’s album, for members of the group “family” alone.", Hint: "Ada is no member: she can put herself into the group at /users.", Group: "family"},
}

// Guard makes the settings of an instance that is to guard the apps.
func Guard(c *config.Config) {
	for _, app := range apps {
		c.Apps = append(c.Apps, app.Host)
	}
	from := asksFrom(c.Listen)
	c.TrustedProxies = []netip.Prefix{netip.PrefixFrom(from, from.BitLen())}
}

// asksFrom is this machine's address from which the apps' fronts ask an instance. No
// browser has it, where that can be, or else what one says of the client would count too.
func asksFrom(listen string) netip.Addr {
	at, err := netip.ParseAddrPort(listen)
	if err == nil && !at.Addr().IsUnspecified() && at.Addr().Unmap() != localhost {
		return at.Addr().Unmap()
	}
	own := localhost.Next()
	l, err := net.Listen("tcp4", netip.AddrPortFrom(own, 0).String())
	if err != nil { // some systems have but one
		return localhost
	}
	l.Close()
	return own
}

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// ServeApps serves the apps on free ports of this machine until ctx ends, guarded by the
// instance of these settings, which Guard has made.
func ServeApps(ctx context.Context, c config.Config) ([]App, error) {
	served := slices.Clone(apps)
	var listeners []net.Listener
	for i := range served {
		l, err := net.Listen("tcp4", netip.AddrPortFrom(localhost, 0).String())
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, fmt.Errorf("listen for %s: %w", served[i].Host, err)
		}
		listeners = append(listeners, l)
		served[i].URL = fmt.Sprintf("http://%s:%d/", served[i].Host, l.Addr().(*net.TCPAddr).Port)
	}
	from := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.TrustedProxies[0].Addr(), 0))}
	wire := &http.Transport{DialContext: from.DialContext} // whatever proxy the environment names
	for i, l := range listeners {
		server := &http.Server{Handler: newFront(served, i, c.PublicURL, wire), ReadHeaderTimeout: 10 * time.Second}
		go server.Serve(l)                                // until it is closed
		context.AfterFunc(ctx, func() { server.Close() }) // nothing here is worth waiting for
	}
	return served, nil
}

// Hint tells whoever started a demo what to open, and how to stop it.
func Hint(w io.Writer, instance *url.URL, served []App) error {
	var b strings.Builder
	b.WriteString("\nTwo apps on this machine are guarded by it (if your browser does not find them, try another: the names end in localhost):\n")
	for _, app := range served {
		fmt.Fprintf(&b, "  %s  %s %s\n", app.URL, app.Text, app.Hint)
	}
	fmt.Fprintf(&b, "\nOpen %s and sign in with the name and password above. Ctrl-C stops it all, and nothing is left.\n", instance)
	_, err := io.WriteString(w, b.String())
	return err
}

const gatePaths = "/outpost.goauthentik.io/"

// A front stands before an app as a reverse proxy does. Over HTTP it asks the gate about
// every request, in Caddy's way; and what is the gate's own under the app's name it relays.
type front struct {
	host     string // with the port
	instance *url.URL
	wire     *http.Transport
	relay    *httputil.ReverseProxy
	app      http.Handler
}

func newFront(served []App, i int, instance *url.URL, wire *http.Transport) *front {
	return &front{
		host: strings.Trim(strings.TrimPrefix(served[i].URL, "http:"), "/"), instance: instance, wire: wire,
		relay: &httputil.ReverseProxy{Transport: wire, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(instance)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		}},
		app: handler(served, i, instance),
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Host != f.host:
		http.Error(w, "This app is at http://"+f.host+"/ alone.", http.StatusMisdirectedRequest)
		return
	case strings.HasPrefix(r.URL.Path, gatePaths):
		f.relay.ServeHTTP(w, r)
		return
	}
	answer, err := f.ask(r)
	if err != nil {
		http.Error(w, "The gate does not answer.", http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK { // what it says instead
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
		return
	}
	for name, values := range answer.Header { // all of them come, so that none is the client's own
		if strings.HasPrefix(name, identity) {
			r.Header[name] = values
		}
	}
	f.app.ServeHTTP(w, r)
}

// ask asks whether a request may pass.
func (f *front) ask(r *http.Request) (*http.Response, error) {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, f.instance.JoinPath(gatePaths, "auth/caddy").String(), nil)
	if err != nil {
		return nil, err
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		// What is of the connection alone ends here, and what a client says of others counts nothing.
		if name != "Connection" && name != "Expect" && name != "Forwarded" && !strings.HasPrefix(name, "X-Forwarded-") {
			q.Header[name] = values
		}
	}
	q.Header.Set("X-Forwarded-For", client)
	q.Header.Set("X-Forwarded-Proto", "http")
	q.Header.Set("X-Forwarded-Host", r.Host)
	q.Header.Set("X-Forwarded-Method", r.Method)
	q.Header.Set("X-Forwarded-Uri", r.RequestURI)
	return f.wire.RoundTrip(q)
}

const identity = "X-Authentik-"

//go:embed app.html
var page string

var pageTemplate = template.Must(template.New("app.html").Parse(page))

// handler is an app itself. It relies on its front.
func handler(served []App, i int, instance *url.URL) http.Handler {
	type told struct{ Name, Value string }
	data := struct {
		App      App
		Others   []App
		Instance string
		Told     []told
	}{App: served[i], Instance: instance.String()}
	for j, other := range served {
		if j != i {
			data.Others = append(data.Others, other)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := data
		if r.Header.Get(identity+"Username") != "" {
			for _, name := range []string{"Username", "Name", "Email", "Groups"} {
				data.Told = append(data.Told, told{identity + name, r.Header.Get(identity + name)})
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_ = pageTemplate.Execute(w, data) // a client that left is nobody's error
	})
}
