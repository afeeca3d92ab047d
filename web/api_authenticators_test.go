package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Factors by the API: a key removes them, a cookie only while its proof is young.
func TestAuthenticatorsAPI(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "require-second-factor=superusers")
	phone, _ := ts.withCodes("bob")
	key := ts.key("ada")
	bob := mustUser(ts, "bob")
	var devices []struct{ PK, Name, Type string }
	for _, user := range []string{"", "?user=", "?user=x", "?user=1.5", "?user=99999999999999999999"} {
		if status, body := ts.api(key, "GET", "/authenticators/admin/all/"+user, nil); status != 400 {
			t.Errorf("%q: got %d %s", user, status, body)
		}
	}
	if status, body := ts.api(key, "GET", "/authenticators/admin/all/?user=4711", nil); status != 200 || body != "[]" {
		t.Errorf("of nobody: got %d %s", status, body)
	}
	if status, _ := ts.api(key, "GET", fmt.Sprintf("/authenticators/admin/all/?user=%d", bob.ID), &devices); status != 200 || len(devices) != 2 || devices[0].Name != "Phone" {
		t.Fatalf("got %d %+v", status, devices)
	}
	b := ts.halfway("bob")
	if res := ts.enter(b, phone.code()); res.StatusCode != 303 {
		t.Fatalf("got %d", res.StatusCode)
	}
	path := "/api/v3/authenticators/totp/" + devices[0].PK + "/"
	ts.advance(16 * time.Minute)
	if res, body := ts.do(b, "DELETE", path, nil); res.StatusCode != 403 || !strings.Contains(body, "Sign in again") {
		t.Errorf("a while after the sign-in: got %d %s", res.StatusCode, body)
	}
	ts.post(b, "/profile/totp", url.Values{"again": {"get"}, "again_password": {password}})
	if res, body := ts.do(b, "DELETE", path, nil); res.StatusCode != 204 {
		t.Errorf("just after it: got %d %s", res.StatusCode, body)
	}
	if status, body := ts.api(key, "GET", fmt.Sprintf("/authenticators/admin/all/?user=%d", bob.ID), nil); status != 200 || body != "[]" {
		t.Errorf("recovery codes without a factor: %d %s", status, body)
	}
	for _, path := range []string{"x", "0", "-1", "99999999999999999999"} {
		if status, _ := ts.api(key, "DELETE", "/authenticators/admin/totp/"+path+"/", nil); status != 404 {
			t.Errorf("%s: got %d", path, status)
		}
	}
}
