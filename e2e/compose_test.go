package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A composition is what we and the proxies take from a compose file.
type composition struct {
	Services map[string]struct {
		Environment, Labels map[string]string
		Command             []string
	}
	Configs map[string]struct{ Content string }
}

// compose reads a compose file as compose does, with the domain set.
func compose(t *testing.T, path string) (c composition) {
	t.Helper()
	text := strings.NewReplacer("${DOMAIN:-home.example}", "lastseen.test", "$$", "$").Replace(read(t, path))
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// guard serves an instance with the settings of the file, behind a proxy on this machine.
func (c composition) guard(t *testing.T) *guard {
	t.Helper()
	var settings []string
	for name, value := range c.Services["lastseen"].Environment {
		if name == "LASTSEEN_TRUSTED_PROXIES" {
			value = "127.0.0.1"
		}
		settings = append(settings, name+"="+value)
	}
	g := newGuardWith(t, "https", settings...)
	g.app = "https://app.lastseen.test"
	return g
}

// here leads a text's names of containers to this machine.
func (g *guard) here(text string) string {
	return strings.NewReplacer("lastseen:9000", g.address, "app:80", g.upstream).Replace(text)
}

// The compose files do what they say, with the proxies themselves and the names in them
// leading here.
func TestCompose(t *testing.T) {
	t.Run("caddy", func(t *testing.T) {
		program := program(t, "", "caddy")
		t.Parallel()
		c := compose(t, "deploy/compose.yaml")
		g := c.guard(t)
		cert, key := g.certificate()
		text := c.Configs["caddyfile"].Content
		// What is printed, but for the spaces.
		_, body, _ := strings.Cut(g.snippet("caddy"), "# Part 2, for each app. In a route, Caddy keeps the order in which this is written.\nhttps://app.lastseen.test {\n")
		for line := range strings.SplitSeq(body, "\n") {
			if line = strings.TrimSpace(line); !strings.Contains(g.here(text), " "+line+"\n") && line != "" && line != "}" {
				t.Errorf("the compose file lacks %q, which proxy-snippet prints", line)
			}
		}
		text = regexp.MustCompile(`(?m)^https://.* \{$`).ReplaceAllString(g.here(text), "$0\n\ttls "+cert+" "+key)
		g.spawn(program, "run", "--adapter", "caddyfile", "--config", g.write("Caddyfile", "{\n\tadmin off\n\tauto_https off\n\thttps_port "+g.port+"\n}\n"+text))
		g.checkComposed(false)
	})
	t.Run("traefik", func(t *testing.T) {
		program := program(t, "LASTSEEN_TEST_TRAEFIK", "traefik")
		t.Parallel()
		c := compose(t, "deploy/compose.traefik.yaml")
		g := c.guard(t)
		var printed composition
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(strings.ReplaceAll(g.snippet("traefik-labels"), "app-lastseen-test", "app"), "$$", "$")), &printed); err != nil {
			t.Fatal(err)
		}
		for service, want := range printed.Services {
			for name, value := range want.Labels {
				if got := g.here(c.Services[service].Labels[name]); got != value && !strings.HasSuffix(name, ".port") && !strings.HasSuffix(name, ".address") {
					t.Errorf("%s: %s is %q, and proxy-snippet prints %q", service, name, got, value)
				}
			}
			if got := len(c.Services[service].Labels); got != len(want.Labels) {
				t.Errorf("%s has %d labels, and proxy-snippet prints %d", service, got, len(want.Labels))
			}
		}
		args := []string{"--providers.docker.endpoint=" + g.engine(c), "--certificatesResolvers.letsencrypt.acme.caServer=https://127.0.0.1:1/", "--accessLog=false"}
		for _, arg := range c.Services["traefik"].Command {
			arg = strings.NewReplacer("=:443", "=127.0.0.1:"+g.port, "=:80", "=127.0.0.1:0", "=/acme/", "="+t.TempDir()+"/").Replace(arg)
			args = append(args, arg)
		}
		g.spawn(program, args...)
		g.checkComposed(true)
	})
}

// engine answers as Docker does to who asks for containers: those of the file, on this machine.
func (g *guard) engine(c composition) string {
	type object = map[string]any
	var list []object
	containers := map[string]object{}
	for name, address := range map[string]string{"lastseen": g.address, "app": g.upstream} {
		_, port, _ := net.SplitHostPort(address)
		labels := map[string]string{}
		for label, value := range c.Services[name].Labels {
			if value = g.here(value); strings.HasSuffix(label, ".port") {
				value = port
			}
			labels[label] = value
		}
		networks := object{"Networks": object{"net": object{"NetworkID": "net", "IPAddress": "127.0.0.1"}}, "Ports": object{}}
		list = append(list, object{"Id": name, "Names": []string{"/" + name}, "Labels": labels, "State": "running", "NetworkSettings": networks})
		containers[name] = object{"Id": name, "Name": "/" + name, "State": object{"Status": "running", "Running": true}, "Config": object{"Labels": labels},
			"HostConfig": object{"NetworkMode": "net"}, "NetworkSettings": networks}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.45")
		w.Header().Set("Content-Type", "application/json")
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the version
		switch id := strings.TrimSuffix(strings.TrimPrefix(path, "containers/"), "/json"); {
		case path == "events":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case path == "containers/json":
			_ = json.NewEncoder(w).Encode(list)
		case containers[id] != nil:
			_ = json.NewEncoder(w).Encode(containers[id])
		default:
			_ = json.NewEncoder(w).Encode(object{"Version": "26.1.0", "ApiVersion": "1.45", "MinAPIVersion": "1.24"})
		}
	}))
	g.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return strings.Replace(server.URL, "http://", "tcp://", 1)
}

// checkComposed is what a person does first: open the app, sign in, sign out.
func (g *guard) checkComposed(keepsCookie bool) {
	t := g.t
	t.Helper()
	const auth = "https://auth.lastseen.test"
	nobody := g.browser(false)
	if !g.refused(nobody, "/x") {
		t.Error("nobody is signed in, and the app is open")
	}
	for _, host := range []string{auth, g.app} {
		// As part of an app it is asked about like the rest.
		if res, _ := g.ask(nobody, "GET", host+"/outpost.goauthentik.io/auth/traefik", ""); res.StatusCode != 404 && (host == auth || res.StatusCode != 302) {
			t.Errorf("%s: strangers may ask the gate: %d", host, res.StatusCode)
		}
	}
	zoe := g.browser(true)
	res, body := g.ask(zoe, "GET", g.app+"/deep?x=1", "")
	if res.Request.URL.Host != "auth.lastseen.test" || !strings.Contains(body, `name="password"`) {
		t.Fatalf("not led to the sign-in: %d at %s %.300s", res.StatusCode, res.Request.URL, body)
	}
	form := url.Values{"username": {"zoë"}, "password": {"correct horse"}, "rd": {res.Request.URL.Query().Get("rd")}}
	res, body = g.ask(zoe, "POST", auth+"/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	var saw appSaw
	if err := json.Unmarshal([]byte(body), &saw); err != nil || saw.URI != "/deep?x=1" || saw.Header.Get("X-Authentik-Username") != "zoë" {
		t.Fatalf("after the sign-in: %d at %s %.300s", res.StatusCode, res.Request.URL, body)
	}
	if got := strings.Contains(saw.Header.Get("Cookie"), "lastseen_app="); got != keepsCookie {
		t.Errorf("the app sees the gate's cookie: %v", got)
	}
	for _, claim := range []string{"X-Authentik-Groups", "X_authentik_groups", "Remote-User", "X-Forwarded-User", "X-Forwarded-For"} {
		saw := g.get(zoe, "/", claim, "forged", "X-Authentik-Username", "forged")
		for name, values := range saw.Header {
			if strings.Contains(strings.Join(values, " "), "forged") {
				t.Errorf("%s: the app sees %s: %q", claim, name, values)
			}
		}
	}
	if sessions := g.sessions("zoë"); len(sessions) != 1 || sessions[0].LastIP != "127.0.0.1" {
		t.Errorf("sessions: %+v", sessions)
	}
	zoe.CheckRedirect = nobody.CheckRedirect
	g.ask(zoe, "POST", auth+"/outpost.goauthentik.io/sign_out", "", "Sec-Fetch-Site", "same-origin")
	if !g.refused(zoe, "/") {
		t.Error("signed out, and not refused")
	}
}
