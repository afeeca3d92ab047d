package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// browseAPI shows the page. The operation to try is in the query, with its
// parameters, so that a try can be bookmarked.
func (s *Server) browseAPI(c *gin.Context) error {
	if _, err := s.byCookie(c); err != nil && !errors.Is(err, app.ErrUnauthenticated) {
		return err
	}
	page := newAPIPage(s.layout(c, ""), s.app.Config.PublicURL, c.Request.URL.Query())
	for _, group := range page.Groups {
		for i, call := range group.Operations {
			if call.CanTry && c.Query("operation") == call.ID {
				group.Operations[i].Tried = s.try(c, call)
			}
		}
	}
	return s.render(c, http.StatusOK, "api", page)
}

func newAPIPage(l view.Layout, server *url.URL, query url.Values) *view.APIPage {
	d := describedAPI()
	page := view.APIPage{Layout: l, Intro: d.Info.Description}
	for _, tag := range d.Tags {
		group := view.APIGroup{Name: tag.Name, Description: tag.Description}
		for _, op := range d.Paths {
			if slices.Contains(op.Tags, tag.Name) {
				call := newAPICall(op, server, query)
				call.CanTry = call.Method == http.MethodGet && (call.Open || l.Viewer != "")
				group.Operations = append(group.Operations, call)
			}
		}
		page.Groups = append(page.Groups, group)
	}
	return &page
}

func newAPICall(op apiOperation, server *url.URL, query url.Values) view.APICall {
	call := view.APICall{
		ID: op.ID, Method: op.Method, Path: apiPrefix + op.Path, Summary: op.Summary, Description: op.Description,
		Open: op.Security != nil && len(*op.Security) == 0,
	}
	example := call.Path
	var required []string
	for _, p := range op.Parameters {
		field := view.APIField{Name: p.Name, Kind: p.kind(), Description: p.Description, Required: p.Required, Choices: p.choices()}
		if p.Example != nil {
			field.Example = strings.Trim(fmt.Sprint(p.Example), "[]")
		}
		if query.Get("operation") == op.ID {
			field.Value = query.Get(p.Name)
		}
		if p.In == "path" {
			example = strings.Replace(example, "{"+p.Name+"}", field.Example, 1)
		} else if p.Required {
			for value := range strings.FieldsSeq(field.Example) {
				required = append(required, p.Name+"="+url.QueryEscape(value))
			}
		}
		call.Parameters = append(call.Parameters, field)
	}
	if len(required) > 0 {
		example += "?" + strings.Join(required, "&")
	}
	call.Curl = "curl "
	if op.Method != http.MethodGet {
		call.Curl += "-X " + op.Method + " "
	}
	if !call.Open {
		call.Curl += `-H "Authorization: Bearer $KEY" `
	}
	call.Curl += "'" + strings.TrimSuffix(server.String(), "/") + example + "'"
	for status, r := range op.Responses {
		if status != "default" {
			call.Answers = append(call.Answers, view.APIAnswer{Status: status, Description: r.Description})
		}
	}
	slices.SortFunc(call.Answers, func(a, b view.APIAnswer) int { return strings.Compare(a.Status, b.Status) })
	return call
}

// try asks the API itself what the form says, as whoever looks at the page.
func (s *Server) try(c *gin.Context, call view.APICall) *view.APITried {
	path, query := call.Path, url.Values{}
	for _, f := range call.Parameters {
		if strings.Contains(path, "{"+f.Name+"}") {
			path = strings.Replace(path, "{"+f.Name+"}", url.PathEscape(f.Value), 1)
		} else if f.Value != "" {
			query.Set(f.Name, f.Value)
		}
	}
	target, err := url.Parse(path)
	if err != nil {
		return nil // escaped paths parse
	}
	target.RawQuery = query.Encode()
	request := c.Request.Clone(c.Request.Context())
	request.Method, request.URL, request.RequestURI, request.Body = http.MethodGet, target, target.RequestURI(), http.NoBody
	request.Header.Set("Accept", "application/json")
	request.Header.Del("Authorization")
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	s.engine.ServeHTTP(answer, request)

	body := answer.body.Bytes()
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") == nil {
		body = indented.Bytes()
	}
	lines := strings.Split(string(body), "\n")
	for i, line := range lines {
		lines[i] = view.Visible(line)
	}
	return &view.APITried{Request: "GET " + target.RequestURI(), Status: answer.status, Body: strings.Join(lines, "\n")}
}

// A recorder keeps an answer instead of sending it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
