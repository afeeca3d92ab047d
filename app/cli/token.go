package cli

import (
	"context"
	"errors"
	"fmt"
	"math"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

func (p *Program) tokenCommand() *cli.Command {
	return &cli.Command{Name: "token", Usage: "API tokens", Commands: []*cli.Command{
		{Name: "create", Usage: "make an API token and print its key, which is shown only now", ArgsUsage: "--user NAME", Action: p.withApp(false, p.tokenCreate), Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Usage: "whose token it is: `NAME`"},
			&cli.StringFlag{Name: "identifier", Usage: "`ID` to know it by (default: made up)"},
			&cli.StringFlag{Name: "expires", Usage: "how long it works: a `DURATION` such as 90d (default: for ever)"},
			&cli.StringFlag{Name: "scope", Usage: "what it is good for: `all|read|gate|gate:HOST,...`; read is the API's reading, gate passes the gate and nothing else", Value: "all"},
			jsonFlag,
		}},
		{Name: "list", Usage: "show all API tokens, without keys", Action: p.withApp(false, p.tokenList), Flags: []cli.Flag{jsonFlag}},
		{Name: "delete", Usage: "remove an API token; its key is refused from now on", ArgsUsage: "IDENTIFIER", Action: p.withApp(false, p.tokenDelete), Flags: []cli.Flag{
			&cli.StringFlag{Name: "user", Usage: "whose it is, where several have one of that name: `NAME`"},
		}},
	}}
}

func (p *Program) tokenCreate(ctx context.Context, c *cli.Command, a *app.App) error {
	user, err := findUser(ctx, a, c.String("user"))
	if err != nil {
		return err
	}
	n := app.NewToken{User: user, Identifier: c.String("identifier"), Scope: c.String("scope")}
	if text := c.String("expires"); text != "" {
		if n.Lifetime, err = config.ParseDuration(text); err != nil || n.Lifetime == 0 {
			return usagef("--expires: %q is no lifetime: write 12h or 90d, or leave it out for ever", text)
		}
	}
	key, token, err := a.CreateToken(ctx, app.Operator.Actor(), n)
	var input *db.InputError
	if errors.As(err, &input) && input.Field == "scope" {
		return usagef("--scope: %q: %s", n.Scope, input.Problem)
	}
	if errors.Is(err, db.ErrConflict) {
		return fmt.Errorf("%s already has a token %q", user.Username, token.Identifier)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(map[string]any{"key": key, "token": p.TokenObject(token)})
	}
	_, err = fmt.Fprintln(p.Out, key)
	return err
}

func (p *Program) tokenList(ctx context.Context, c *cli.Command, a *app.App) error {
	tokens, _, err := a.Tokens(ctx, app.Operator, db.TokenFilter{Limit: math.MaxInt32})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		objects := make([]any, len(tokens))
		for i, t := range tokens {
			objects[i] = p.TokenObject(t)
		}
		return p.json(objects)
	}
	rows := [][]string{{"IDENTIFIER", "USER", "DESCRIPTION", "SCOPE", "LAST USED", "CREATED", "EXPIRES"}}
	for _, t := range tokens {
		rows = append(rows, []string{t.Identifier, t.User.Username, t.Description, string(t.Scope), timeText(t.LastUsed, "never"), timeText(t.Created, ""), timeText(t.Expires, "never")})
	}
	return p.table(rows, "CREATED", "DESCRIPTION")
}

func (p *Program) tokenDelete(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	owner := app.Operator
	if name := c.String("user"); name != "" {
		user, err := findUser(ctx, a, name)
		if err != nil {
			return err
		}
		owner.User = &db.User{ID: user.ID}
	}
	token, err := a.Token(ctx, owner, args[0])
	if errors.Is(err, app.ErrAmbiguous) {
		return usagef("several people have a token %q: say whose by --user NAME", args[0])
	}
	if errors.Is(err, db.ErrNotFound) {
		return fmt.Errorf("there is no token %q", args[0])
	}
	if err != nil {
		return err
	}
	if err := a.DeleteToken(ctx, app.Operator.Actor(), token); err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "The token %s of %s is removed.\n", printable(token.Identifier), printable(token.User.Username))
	return nil
}
