package web

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
)

// A listPage is the part of a list that was asked for.
type listPage struct{ number, size int }

// parsePage reads page and page_size. A bad size is the standard one.
func parsePage(c *gin.Context) (listPage, error) {
	p := listPage{number: 1, size: standardPageSize}
	if size, err := strconv.ParseUint(c.Query("page_size"), 10, 64); err == nil && size > 0 || errors.Is(err, strconv.ErrRange) {
		p.size = int(min(size, maxPageSize))
	}
	switch text := c.Query("page"); text {
	case "":
		if _, given := c.GetQuery("page"); given {
			return p, errInvalidPage
		}
	case "last":
		p.number = lastPage
	default:
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n == 0 {
			return p, errInvalidPage
		}
		p.number = int(n)
	}
	return p, nil
}

// fetch gets the page through list, which takes limit and offset and says how
// many there are in all, and makes the envelope of it.
func fetch[Row, Shape any](p listPage, shape func(Row) Shape, list func(limit, offset int) ([]Row, int, error)) (any, error) {
	if p.number == lastPage {
		_, total, err := list(0, 0)
		if err != nil {
			return nil, err
		}
		p.number = max(1, (total+p.size-1)/p.size)
	}
	rows, total, err := list(p.size, (p.number-1)*p.size)
	if err != nil {
		return nil, err
	}
	pages := max(1, (total+p.size-1)/p.size)
	if p.number > pages {
		return nil, errInvalidPage
	}
	env := envelope[Shape]{Results: make([]Shape, len(rows))}
	for i, row := range rows {
		env.Results[i] = shape(row)
	}
	env.Pagination = pagination{Count: total, Current: p.number, TotalPages: pages}
	if len(rows) > 0 {
		env.Pagination.StartIndex = (p.number-1)*p.size + 1
		env.Pagination.EndIndex = env.Pagination.StartIndex + len(rows) - 1
	}
	if p.number < pages {
		env.Pagination.Next = p.number + 1
	}
	env.Pagination.Previous = p.number - 1
	return env, nil
}

const (
	standardPageSize = 100
	maxPageSize      = 1000
	lastPage         = -1
)

// An envelope is a page of a list.
type envelope[Shape any] struct {
	Pagination pagination
	Results    []Shape
}

// MarshalJSON writes the results one by one, so that those that marshal themselves are
// not read once more.
func (e envelope[Shape]) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 256+1024*len(e.Results))
	b = append(b, `{"pagination":`...)
	b = append(b, mustMarshal(e.Pagination)...)
	b = append(b, `,"results":[`...)
	for i, result := range e.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, mustMarshal(result)...)
	}
	return append(b, `],"autocomplete":{}}`...), nil
}

type pagination struct {
	Next       int `json:"next"`
	Previous   int `json:"previous"`
	Count      int `json:"count"`
	Current    int `json:"current"`
	TotalPages int `json:"total_pages"`
	StartIndex int `json:"start_index"`
	EndIndex   int `json:"end_index"`
}

// answerList answers with the page of a list that c asks for.
func answerList[Row, Shape any](c *gin.Context, shape func(Row) Shape, list func(limit, offset int) ([]Row, int, error)) error {
	page, err := parsePage(c)
	if err != nil {
		return err
	}
	env, err := fetch(page, shape, list)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, env)
	return nil
}

// pageNumber is which page of a list a page of ours shows.
func pageNumber(c *gin.Context) int {
	n, err := strconv.Atoi(c.Query("page"))
	if err != nil || n < 1 || n > 1<<24 { // there are no more
		return 1
	}
	return n
}
