package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// upgrade answers 101 to whatever upgrade it is asked for, as apps do that speak
// HTTP/2 without TLS, and then sends back what comes. It reports whether it did.
func upgrade(w http.ResponseWriter, r *http.Request) bool {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" || !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") {
		return false
	}
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	_, _ = io.Copy(conn, buf)
	return true
}

// tunnelled is the protocol that the app was asked to upgrade to, if any, and
// whether what is sent behind the request comes back from it.
func (g *guard) tunnelled(path string, headers ...string) (protocol string, through bool) {
	g.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+g.port)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.lastseen.test:%s\r\n%s\r\n\r\n", path, g.port, strings.Join(headers, "\r\n"))
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		g.t.Fatalf("%s %q: %v", path, headers, err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return "", false
	}
	fmt.Fprint(conn, "through\n")
	line, _ := reader.ReadString('\n')
	return res.Header.Get("Upgrade"), line == "through\n"
}

// checkUpgrades tries to talk past the gate: by an upgrade that is none to websocket,
// and by having the proxy drop what it says of who asks.
func (g *guard) checkUpgrades(client *http.Client) {
	g.t.Run("upgrades", func(t *testing.T) {
		cookies := "Cookie: "
		for _, c := range client.Jar.Cookies(mustURL(g.app)) {
			cookies += c.String() + "; "
		}
		const settings = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
		for _, headers := range [][]string{
			{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", settings},
			{"Connection: Upgrade", "Upgrade: h2c"},
			{"connection: upgrade,http2-settings", "upgrade: H2C", settings},
			{"Connection: keep-alive, Upgrade", "Upgrade: h2c, websocket"},
			{"Connection: Upgrade", "Upgrade: websocket, h2c"},
			{"Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"},
			{"Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"},
			{"Connection: Upgrade", "Connection: HTTP2-Settings", "Upgrade: h2c", settings},
			{"Connection: Upgrade", "Upgrade: TLS/1.2"},
			{"Connection: Upgrade", "Upgrade: websocket2"},
			{"Connection: Upgrade", "Upgrade: xwebsocket"},
			{"Connection: Upgrade", "Upgrade: tcp"},
		} {
			for _, path := range []string{"/open/x", "/x"} {
				if protocol, _ := g.tunnelled(path, append(headers, cookies)...); protocol != "" && !strings.EqualFold(protocol, "websocket") {
					t.Errorf("%s with %q: the app was asked to speak %s", path, headers, protocol)
				}
			}
		}
		for _, protocol := range []string{"websocket", "WebSocket"} {
			if got, ok := g.tunnelled("/socket", "Connection: Upgrade", "Upgrade: "+protocol, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==", cookies); !ok {
				t.Errorf("%s: got %q, and no tunnel", protocol, got)
			}
		}
		before := g.hits.Load()
		if got, _ := g.tunnelled("/socket", "Connection: Upgrade", "Upgrade: websocket"); got != "" || g.hits.Load() != before {
			t.Errorf("websocket of nobody: got %q", got)
		}

		for _, connection := range []string{"close, X-Authentik-Username, X-Authentik-Groups", "keep-alive, x-authentik-username,x-authentik-groups",
			"X-authentik-username\r\nConnection: X-authentik-groups", "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Authentik-Uid", "Host, Content-Length"} {
			saw := g.rawApp("GET /x HTTP/1.1\r\nHost: app.lastseen.test:" + g.port + "\r\n" + cookies + "\r\nConnection: " + connection + "\r\n\r\n")
			if saw.Header.Get("X-Authentik-Username") != "zoë" || saw.Header.Get("X-Authentik-Groups") == "" || saw.Header.Get("X-Forwarded-For") != "127.0.0.1" {
				t.Errorf("Connection: %s: the app saw %v", connection, saw.Header)
			}
		}
		// Who gives their own cookie away may be taken for nobody, but not for somebody else.
		status, _, body := g.raw("GET /x HTTP/1.1\r\nHost: app.lastseen.test:" + g.port + "\r\n" + cookies + "\r\nConnection: Cookie\r\n\r\n")
		if status != http.StatusFound && !strings.Contains(string(body), `"X-Authentik-Username":["zoë"]`) {
			t.Errorf("Connection: Cookie: got %d %s", status, body)
		}
	})
}
