package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"lastseen/db"
	"lastseen/schema"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"
)

// description is the API's document, as strict as it can be: an object has the
// keys that it names and no others.
var description = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(schema.OpenAPI)
	if err != nil {
		panic(err)
	}
	seen := map[*openapi3.Schema]bool{}
	var tighten func(ref *openapi3.SchemaRef)
	tighten = func(ref *openapi3.SchemaRef) {
		if ref == nil || ref.Value == nil || seen[ref.Value] {
			return
		}
		s := ref.Value
		seen[s] = true
		if s.Type.Is("object") && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
			no := false
			s.AdditionalProperties.Has = &no
		}
		tighten(s.Items)
		for _, p := range s.Properties {
			tighten(p)
		}
		for _, p := range s.AllOf {
			tighten(p)
		}
	}
	for _, s := range doc.Components.Schemas {
		tighten(s)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, r := range op.Responses.Map() {
				for _, content := range r.Value.Content {
					tighten(content.Schema)
				}
			}
		}
	}
	return doc
})

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// operation finds what the document says of a request, with its path; nil when
// the document knows no such path or method.
func operation(r *http.Request) (*routers.Route, map[string]string) {
	rest, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	if !ok {
		return nil, nil
	}
	var best string // the one with the fewest parameters
	doc := description()
	for path := range doc.Paths.Map() {
		if samePattern(pathParameter.ReplaceAllString(path, ":$1"), rest) && (best == "" || strings.Count(path, "{") < strings.Count(best, "{")) {
			best = path
		}
	}
	if best == "" {
		return nil, nil
	}
	item := doc.Paths.Value(best)
	op := item.GetOperation(r.Method)
	if op == nil {
		return nil, nil
	}
	parameters := map[string]string{}
	values := strings.Split(rest, "/")
	for i, part := range strings.Split(best, "/") {
		if m := pathParameter.FindStringSubmatch(part); m != nil {
			parameters[m[1]] = values[i]
		}
	}
	return &routers.Route{Spec: doc, Path: best, PathItem: item, Method: r.Method, Operation: op}, parameters
}

// described is the server of every test: it checks each answer of the API
// against the document.
type described struct {
	*Server
	t testing.TB
}

func (d described) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, parameters := operation(r)
	if route == nil {
		d.Server.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	d.Server.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	body := answer.Body.Bytes()
	_, _ = w.Write(body)
	if err := validate(r, route, parameters, answer.Code, answer.Header(), body); err != nil {
		d.t.Errorf("%s %s: the answer %d is not as described: %v", r.Method, r.URL, answer.Code, err)
	}
}

func validate(r *http.Request, route *routers.Route, parameters map[string]string, status int, header http.Header, body []byte) error {
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route},
		Status:                 status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if status != http.StatusNoContent {
		input.Body = io.NopCloser(bytes.NewReader(body))
	} else if len(body) > 0 {
		return fmt.Errorf("204 with a body")
	}
	return openapi3filter.ValidateResponse(context.Background(), input)
}

func TestDescription(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(schema.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Every route is described, and every operation is a route.
	ts := newServer(t)
	routes := map[string]bool{}
	for _, r := range ts.apiRoutes {
		path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.path, "{$1}")
		if r.get != nil {
			routes["GET "+path] = true
		}
		if r.delete != nil {
			routes["DELETE "+path] = true
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path
			if !routes[name] {
				t.Errorf("%s is described, but no route", name)
			}
			delete(routes, name)
			if op.Summary == "" || len(op.Tags) != 1 || op.OperationID == "" {
				t.Errorf("%s: it lacks a summary, a tag or an operationId", name)
			}
		}
	}
	for name := range routes {
		t.Errorf("%s is a route, but not described", name)
	}
}

// A description that let everything pass would prove nothing.
func TestDescriptionRefuses(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", apiPrefix+"/core/authenticated_sessions/"+uuid.NewString()+"/", nil)
	route, parameters := operation(r)
	for _, body := range []string{`{}`, `{"detail":"x"}`, `[]`, `null`} {
		if err := validate(r, route, parameters, 200, http.Header{"Content-Type": {"application/json"}}, []byte(body)); err == nil {
			t.Errorf("it takes %s for a session", body)
		}
	}
	if err := validate(r, route, parameters, 404, http.Header{"Content-Type": {"application/json"}}, []byte(`{"detail":"x","more":1}`)); err == nil {
		t.Error("it takes an error with a key too many")
	}
}

// Each answer that the document names is one that the server gives.
func TestEveryDescribedAnswer(t *testing.T) {
	ts := newServer(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	ts.createUser("eve", false, "family")
	for _, ip := range []string{"81.2.69.142", "192.168.1.20", "2001:db8::1"} {
		ts.session("bob", ip, iphone)
	}
	ts.post(nil, "/login", url.Values{"username": {"nobody"}, "password": {"wrong"}})
	sess, _ := ts.session("bob", "89.160.20.112", "")
	one := "/core/authenticated_sessions/" + sess.UUID.String() + "/"
	elsewhere := "/core/authenticated_sessions/" + uuid.NewString() + "/"
	event := ts.names(ada, "/events/events/?page_size=1", "pk")[0]
	token := ts.names(bob, "/core/tokens/", "identifier")[0]

	second := ts.createUser("grace", false).ID
	for _, user := range []int64{second, mustUser(ts, "bob").ID} {
		if err := ts.store.AddFactor(t.Context(), db.NewFactor{TOTP: &db.TOTP{UUID: uuid.New(), UserID: user, Name: "Phone", Secret: []byte("sealed"), Created: now}, Recovery: [][]byte{{1}},
			Event: func(int64) db.Event { return eventOf(user) }}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"1", "2"} {
		if err := ts.store.AddFactor(t.Context(), db.NewFactor{Passkey: &db.Passkey{UserID: second, Name: "Key", CredentialID: []byte(id), Credential: []byte("{}"), Created: now},
			Event: func(int64) db.Event { return eventOf(second) }}); err != nil {
			t.Fatal(err)
		}
	}
	grace := ts.key("grace")
	const factors = "/authenticators/"

	got := map[string]bool{}
	for _, tt := range []struct{ key, method, path string }{
		{ada, "GET", "/core/authenticated_sessions/"},
		{ada, "GET", "/core/authenticated_sessions/?user=x"},
		{"", "GET", "/core/authenticated_sessions/"},
		{ada, "GET", "/core/authenticated_sessions/?page=2"},
		{ada, "GET", one}, {"", "GET", one}, {ada, "GET", elsewhere},
		{ada, "GET", one + "used_by/"}, {"", "GET", one + "used_by/"}, {ada, "GET", elsewhere + "used_by/"},
		{"", "DELETE", one}, {ada, "DELETE", one}, {ada, "DELETE", one},
		{ada, "DELETE", "/core/authenticated_sessions/bulk_delete/?user_pks=2"},
		{ada, "DELETE", "/core/authenticated_sessions/bulk_delete/"},
		{bob, "DELETE", "/core/authenticated_sessions/bulk_delete/?user_pks=2"},
		{ada, "GET", "/core/users/"}, {ada, "GET", "/core/users/?email="}, {"", "GET", "/core/users/"}, {ada, "GET", "/core/users/?page=0"},
		{ada, "GET", "/core/users/me/"}, {"", "GET", "/core/users/me/"},
		{ada, "GET", "/core/users/3/"}, {"", "GET", "/core/users/3/"}, {bob, "GET", "/core/users/3/"},
		{ada, "GET", "/core/tokens/"}, {ada, "GET", "/core/tokens/?expiring="}, {"", "GET", "/core/tokens/"}, {ada, "GET", "/core/tokens/?page=x"},
		{bob, "GET", "/core/tokens/" + token + "/"}, {"", "GET", "/core/tokens/x/"}, {bob, "GET", "/core/tokens/x/"},
		{grace, "GET", factors + "all/"}, {"", "GET", factors + "all/"},
		{ada, "GET", factors + fmt.Sprintf("admin/all/?user=%d", second)}, {ada, "GET", factors + "admin/all/"}, {grace, "GET", factors + "admin/all/?user=1"},
		{grace, "DELETE", factors + "webauthn/1/"}, {ada, "DELETE", factors + "webauthn/2/"}, {"", "DELETE", factors + "webauthn/2/"},
		{ada, "DELETE", factors + "admin/webauthn/2/"}, {ada, "DELETE", factors + "admin/webauthn/2/"}, {grace, "DELETE", factors + "admin/webauthn/2/"},
		{grace, "DELETE", factors + fmt.Sprintf("static/%d/", second)}, {grace, "DELETE", factors + fmt.Sprintf("static/%d/", second)}, {"", "DELETE", factors + "static/1/"},
		{ada, "DELETE", factors + "totp/1/"}, {"", "DELETE", factors + "totp/1/"}, {grace, "DELETE", factors + "totp/1/"},
		{ada, "DELETE", factors + "admin/static/2/"}, {ada, "DELETE", factors + "admin/totp/2/"}, {ada, "DELETE", factors + "admin/totp/1/"}, {grace, "DELETE", factors + "admin/totp/1/"},
		{ada, "DELETE", factors + "admin/static/1/"}, {grace, "DELETE", factors + "admin/static/1/"},
		{ada, "GET", "/events/events/"}, {ada, "GET", "/events/events/?action="}, {"", "GET", "/events/events/"}, {ada, "GET", "/events/events/?page=99"},
		{ada, "GET", "/events/events/" + event + "/"}, {"", "GET", "/events/events/" + event + "/"}, {bob, "GET", "/events/events/x/"},
		{ada, "GET", "/events/events/per_month/"}, {ada, "GET", "/events/events/per_month/?action="}, {"", "GET", "/events/events/per_month/"},
		{ada, "GET", "/events/events/volume/"}, {ada, "GET", "/events/events/volume/?history_days=x"}, {"", "GET", "/events/events/volume/"},
		{"", "GET", "/root/config/"}, {"", "GET", "/schema/"}, {"", "GET", "/schema/?format=json"}, {"", "GET", "/schema/?format=xml"},
	} {
		var header []string
		if tt.key != "" {
			header = []string{"Authorization", "Bearer " + tt.key}
		}
		res, _ := ts.do(nil, tt.method, apiPrefix+tt.path, nil, header...)
		r := httptest.NewRequest(tt.method, apiPrefix+tt.path, nil)
		route, _ := operation(r)
		got[fmt.Sprintf("%s %d", route.Operation.OperationID, res.StatusCode)] = true
	}
	for _, item := range description().Paths.Map() {
		for _, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if name := op.OperationID + " " + status; status != "default" && !got[name] {
					t.Errorf("described, but never answered: %s", name)
				}
				delete(got, op.OperationID+" "+status)
			}
		}
	}
	for name := range got {
		t.Errorf("answered, but not described: %s", name)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	for _, tt := range []struct{ query, accept, contentType, start string }{
		{"", "", "application/yaml", "openapi: 3.0.3"},
		{"", "*/*", "application/yaml", "openapi: 3.0.3"},
		{"", "text/html,application/xhtml+xml,*/*;q=0.8", "application/yaml", "openapi: 3.0.3"},
		{"", "application/json", "application/json", `{"components"`},
		{"", "application/json;q=0.9", "application/json", `{"components"`},
		{"?format=json", "*/*", "application/json", `{"components"`},
		{"?format=yaml", "application/json", "application/yaml", "openapi: 3.0.3"},
	} {
		res, body := ts.get(nil, "/api/v3/schema/"+tt.query, "Accept", tt.accept)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != tt.contentType || !strings.HasPrefix(body, tt.start) {
			t.Errorf("%s, accepting %q: got %d %s %.40s", tt.query, tt.accept, res.StatusCode, res.Header.Get("Content-Type"), body)
		}
	}
}

// The API browser shows every operation, and answers on the page itself.
func TestBrowseAPI(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.session("bob", "81.2.69.142", iphone)
	res, body := ts.get(nil, "/api/v3/")
	if res.StatusCode != 200 || !strings.Contains(body, "core_authenticated_sessions_bulk_delete_destroy") || !strings.Contains(body, "/login?rd=/api/v3/") {
		t.Errorf("for a stranger: got %d %s", res.StatusCode, body)
	}
	// What is open can be tried by anybody, what is not cannot.
	if _, body := ts.get(nil, "/api/v3/?operation=root_config_retrieve"); !strings.Contains(body, "can_geo_ip") {
		t.Error("a stranger cannot try what needs no sign-in")
	}
	if _, body := ts.get(nil, "/api/v3/?operation=core_users_list"); strings.Contains(body, `class="tried"`) {
		t.Error("a stranger tries what needs a sign-in")
	}
	b := ts.signIn("bob")
	for _, tt := range []struct{ query, want string }{
		{"operation=core_authenticated_sessions_list&search=iphone&user=", "&#34;family&#34;: &#34;iPhone&#34;"},
		{"operation=core_authenticated_sessions_list&user=x", "Enter a number."},
		{"operation=core_users_retrieve&id=2", "&#34;username&#34;: &#34;bob&#34;"},
		{"operation=core_users_retrieve&id=1", "Not found."},
		{"operation=core_users_retrieve&id=..%2F..%2Froot%2Fconfig", "Not found."},
	} {
		_, body := ts.get(b, "/api/v3/?"+tt.query)
		_, tried, _ := strings.Cut(body, `class="tried"`)
		if !strings.Contains(tried, tt.want) {
			t.Errorf("%s: got %s, want %s in it", tt.query, tried, tt.want)
		}
	}
	// Trying never changes anything.
	if _, body := ts.get(b, "/api/v3/?operation=core_authenticated_sessions_bulk_delete_destroy&user_pks=2"); strings.Contains(body, `class="tried"`) {
		t.Error("the page tries what ends sessions")
	}
}
