package web

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"lastseen/schema"

	"github.com/gin-gonic/gin"
	"gopkg.in/yaml.v3"
)

// schemaJSON is the description of the API in JSON, made when it is first asked for.
var schemaJSON = sync.OnceValue(func() []byte {
	var document any
	if err := yaml.Unmarshal(schema.OpenAPI, &document); err != nil {
		panic(err) // it is embedded, and tested
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return text
})

// getSchema answers in YAML, or in JSON for those who ask for it or take nothing else.
func (s *Server) getSchema(c *gin.Context) error {
	contentType, body := "application/yaml", schema.OpenAPI
	switch format, given := c.GetQuery("format"); {
	case format == "json", !given && onlyJSON(c.Request.Header.Values("Accept")):
		contentType, body = "application/json", schemaJSON()
	case given && format != "yaml":
		return errNoPage
	}
	h := c.Writer.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Vary", "Accept")
	c.Status(http.StatusOK)
	_, _ = c.Writer.Write(body) // a client that left is nobody's error
	return nil
}

// onlyJSON reports whether an Accept header names JSON and nothing else.
func onlyJSON(headers []string) bool {
	accept := strings.Join(headers, ",")
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, err := mime.ParseMediaType(part)
		if err != nil || mediaType != "application/json" {
			return false
		}
	}
	return accept != ""
}

// apiDocument is the part of the description that the API browser shows.
type apiDocument struct {
	Info struct {
		Description string
	}
	Tags []struct {
		Name, Description string
	}
	Paths      apiPaths
	Components struct {
		Parameters map[string]apiParameter
		Responses  map[string]apiResponse
	}
}

// apiPaths are the operations in the order of the document.
type apiPaths []apiOperation

type apiOperation struct {
	Method, Path string // GET, /core/users/{id}/
	ID           string `yaml:"operationId"`
	Tags         []string
	Summary      string
	Description  string
	Parameters   []apiParameter
	Responses    map[string]apiResponse
	Security     *[]map[string][]string // an empty list: no sign-in needed
}

type apiParameter struct {
	Ref         string `yaml:"$ref"`
	Name, In    string
	Required    bool
	Description string
	Example     any
	Schema      struct {
		Type    string
		Format  string
		Enum    []string
		Default any
		Items   struct {
			Type string
			Enum []string
		}
	}
}

type apiResponse struct {
	Ref         string `yaml:"$ref"`
	Description string
}

func (p *apiPaths) UnmarshalYAML(node *yaml.Node) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		var shared struct{ Parameters []apiParameter }
		path, item := node.Content[i].Value, node.Content[i+1]
		if err := item.Decode(&shared); err != nil {
			return err
		}
		for j := 0; j+1 < len(item.Content); j += 2 {
			method := strings.ToUpper(item.Content[j].Value)
			if method == "PARAMETERS" {
				continue
			}
			var op apiOperation
			if err := item.Content[j+1].Decode(&op); err != nil {
				return err
			}
			op.Method, op.Path = method, path
			op.Parameters = append(slices.Clone(shared.Parameters), op.Parameters...)
			*p = append(*p, op)
		}
	}
	return nil
}

// describedAPI is the description with its references followed.
var describedAPI = sync.OnceValue(func() *apiDocument {
	var d apiDocument
	if err := yaml.Unmarshal(schema.OpenAPI, &d); err != nil {
		panic(err) // it is embedded, and tested
	}
	for _, op := range d.Paths {
		for i, p := range op.Parameters {
			if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
				op.Parameters[i] = d.Components.Parameters[name]
			}
		}
		for status, r := range op.Responses {
			if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
				op.Responses[status] = d.Components.Responses[name]
			}
		}
	}
	return &d
})

// kind says what a parameter holds, in a few words.
func (p apiParameter) kind() string {
	kind, enum := p.Schema.Type, p.Schema.Enum
	if kind == "array" {
		kind, enum = p.Schema.Items.Type, p.Schema.Items.Enum
	}
	if len(enum) > 0 {
		kind = strings.Join(enum, " | ")
	}
	if p.Schema.Default != nil {
		kind += fmt.Sprintf(" = %v", p.Schema.Default)
	}
	return kind
}

// choices are all values that a parameter may have, nil when they are too many.
func (p apiParameter) choices() []string {
	switch {
	case p.Schema.Type == "boolean":
		return []string{"true", "false"}
	case p.Schema.Type == "array":
		return p.Schema.Items.Enum
	}
	return p.Schema.Enum
}
