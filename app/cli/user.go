package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"
)

func (p *Program) userCommand() *cli.Command {
	mustChange := &cli.BoolFlag{Name: "must-change", Usage: "they choose another password at their next sign-in"}
	passwordFile := &cli.StringFlag{Name: "password-file", Usage: "read the password from `FILE`, - for standard input (default: ask on the terminal)"}
	// change does something to a user and says that it is done.
	change := func(done string, f func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error) cli.ActionFunc {
		return p.withUser(func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
			err := f(ctx, c, a, user)
			if err == nil {
				fmt.Fprintf(p.Err, done+"\n", printable(user.Username))
			}
			return err
		})
	}
	return &cli.Command{Name: "user", Usage: "people who may sign in", Commands: append([]*cli.Command{
		{Name: "create", Usage: "add a user", ArgsUsage: "NAME", Action: p.withApp(true, p.userCreate), Flags: []cli.Flag{
			&cli.BoolFlag{Name: "superuser", Usage: "may see and change everything"},
			&cli.StringFlag{Name: "name", Usage: "full `NAME`"},
			&cli.StringFlag{Name: "email", Usage: "mail `ADDRESS`"},
			&cli.StringSliceFlag{Name: "group", Usage: "member of group `G`; may be repeated"},
			passwordFile, mustChange, jsonFlag,
		}},
		{Name: "list", Usage: "show all users", Action: p.withApp(false, p.userList), Flags: []cli.Flag{jsonFlag}},
		{Name: "password", Usage: "set a new password and end the user's sessions", ArgsUsage: "NAME",
			Flags:  []cli.Flag{passwordFile, mustChange, &cli.BoolFlag{Name: "delete-tokens", Usage: "delete the user's API tokens too, which go on working otherwise"}},
			Action: p.withUser(p.userPassword)},
		{Name: "enable", Usage: "let a disabled user sign in again", ArgsUsage: "NAME",
			Action: change("%s may sign in again.", func(ctx context.Context, _ *cli.Command, a *app.App, user db.User) error {
				return a.SetUserActive(ctx, app.Operator.Actor(), user, true)
			})},
		{Name: "disable", Usage: "end a user's sessions and refuse them and their tokens from now on", ArgsUsage: "NAME", Flags: []cli.Flag{forceFlag},
			Action: change("%s is disabled and signed out everywhere.", func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
				if err := inCharge(user, a.SetUserActive(ctx, operator(c), user, false)); err != nil {
					return err
				}
				return p.keysRemain(ctx, a, user, "they are refused until the user is enabled again")
			})},
		{Name: "unlock", Usage: "lift the lock of a user, who may sign in again at once", ArgsUsage: "NAME",
			Action: change("%s may try again.", func(ctx context.Context, _ *cli.Command, a *app.App, user db.User) error {
				return a.UnlockUser(ctx, app.Operator.Actor(), user)
			})},
		{Name: "delete", Usage: "remove a user with their sessions and tokens", ArgsUsage: "NAME", Flags: []cli.Flag{forceFlag, yesFlag},
			Action: change("%s is removed.", func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
				if err := p.confirm(ctx, c, fmt.Sprintf("This removes %s with all sessions and tokens.", user.Username)); err != nil {
					return err
				}
				return inCharge(user, a.DeleteUser(ctx, operator(c), user))
			})},
		{Name: "factors", Usage: "show a user's second factors and passkeys, a line each", ArgsUsage: "NAME", Action: p.withUser(p.userFactors), Commands: []*cli.Command{
			{Name: "reset", Usage: "remove all second factors, passkeys and recovery codes of a user, whom the password alone signs in then", ArgsUsage: "NAME",
				Action: change("%s has no second factor any more.", func(ctx context.Context, _ *cli.Command, a *app.App, user db.User) error {
					return a.ResetFactors(ctx, app.Operator.Actor(), user)
				})},
		}},
		{Name: "group", Usage: "groups of a user", Commands: []*cli.Command{
			{Name: "add", Usage: "add a user to a group, which is made if need be", ArgsUsage: "NAME GROUP",
				Action: p.withUser(func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
					return a.AddToGroup(ctx, app.Operator.Actor(), user, c.Args().Get(1))
				})},
			{Name: "remove", Usage: "take a user out of a group", ArgsUsage: "NAME GROUP",
				Action: p.withUser(func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
					err := a.RemoveFromGroup(ctx, app.Operator.Actor(), user, c.Args().Get(1))
					if errors.Is(err, db.ErrNotFound) {
						return fmt.Errorf("%s is not in the group %q", user.Username, c.Args().Get(1))
					}
					if err == nil {
						fmt.Fprintf(p.Err, "%s is no longer in the group %s.\n", printable(user.Username), printable(c.Args().Get(1)))
					}
					return err
				})},
		}},
	}, p.linkCommands()...)}
}

var (
	jsonFlag  = &cli.BoolFlag{Name: "json", Usage: "print JSON"}
	forceFlag = &cli.BoolFlag{Name: "force", Usage: "even if nobody is left in charge"}
	yesFlag   = &cli.BoolFlag{Name: "yes", Usage: "do not ask first"}
)

// operator is who runs the command, by force if its flag says so.
func operator(c *cli.Command) app.Actor {
	actor := app.Operator.Actor()
	actor.Force = c.Bool("force")
	return actor
}

// inCharge says what to do where a user may not go, as the last superuser.
func inCharge(user db.User, err error) error {
	if errors.Is(err, db.ErrLastSuperuser) {
		return fmt.Errorf("%s is the last active superuser, and nobody would be left in charge: make another first, or add --force", user.Username)
	}
	return err
}

// confirm asks whoever sits at a terminal whether to go on.
func (p *Program) confirm(ctx context.Context, c *cli.Command, consequence string) error {
	if c.Bool("yes") || !term.IsTerminal(int(p.In.Fd())) {
		return nil
	}
	fmt.Fprintf(p.Err, "%s Go on? [y/N] ", printable(consequence))
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(p.In).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answered:
		if answer == "y" || answer == "yes" {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(p.Err)
	}
	return errors.New("nothing was changed")
}

// withUser opens the app for a command whose first argument is a user's name.
func (p *Program) withUser(f func(ctx context.Context, c *cli.Command, a *app.App, user db.User) error) cli.ActionFunc {
	return p.withApp(false, func(ctx context.Context, c *cli.Command, a *app.App) error {
		user, err := findUser(ctx, a, c.Args().First())
		if err != nil {
			return err
		}
		return f(ctx, c, a, user)
	})
}

func findUser(ctx context.Context, a *app.App, name string) (db.User, error) {
	user, err := a.UserByName(ctx, name)
	if errors.Is(err, db.ErrNotFound) {
		return user, fmt.Errorf("there is no user %q", name)
	}
	return user, err
}

func (p *Program) userCreate(ctx context.Context, c *cli.Command, a *app.App) error {
	n := app.NewUser{
		Username: c.Args().First(), Name: c.String("name"), Email: c.String("email"),
		Superuser: c.Bool("superuser"), MustChange: c.Bool("must-change"), Groups: c.StringSlice("group"),
	}
	if err := db.CheckUsername(n.Username); err != nil { // before asking for a password
		return err
	}
	var err error
	if n.Password, err = p.password(ctx, c); err != nil {
		return err
	}
	_, err = a.CreateUser(ctx, app.Operator.Actor(), n)
	if errors.Is(err, db.ErrConflict) {
		return fmt.Errorf("there is already a user %q", n.Username)
	}
	if err != nil || !c.Bool("json") {
		return err
	}
	user, err := findUser(ctx, a, n.Username)
	if err != nil {
		return err
	}
	return p.json(p.UserObject(user))
}

func (p *Program) userPassword(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
	password, err := p.password(ctx, c)
	if err != nil {
		return err
	}
	if err := a.SetPassword(ctx, app.Operator.Actor(), user, app.NewPassword{Password: password, MustChange: c.Bool("must-change")}); err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "%s has a new password and is signed out everywhere.\n", printable(user.Username))
	if c.Bool("delete-tokens") {
		n, err := a.DeleteKeysOf(ctx, app.Operator.Actor(), user)
		if err == nil && n > 0 {
			fmt.Fprintf(p.Err, "%d API tokens of %s are deleted.\n", n, user.Username)
		}
		return err
	}
	return p.keysRemain(ctx, a, user, "delete them by --delete-tokens, or one by one by `lastseen token delete`")
}

func (p *Program) userFactors(ctx context.Context, _ *cli.Command, a *app.App, user db.User) error {
	has, err := a.Factors(ctx, app.Operator, user.ID)
	if err != nil {
		return err
	}
	var rows [][]string
	row := func(kind db.FactorKind, name string, created, used time.Time) {
		rows = append(rows, []string{string(kind), name, "added " + timeText(created, ""), "last used " + timeText(used, "never")})
	}
	for _, t := range has.TOTPs {
		row(db.KindTOTP, t.Name, t.Created, t.LastUsed)
	}
	for _, k := range has.Passkeys {
		row(db.KindPasskey, k.Name, k.Created, k.LastUsed)
	}
	if has.Recovery > 0 {
		rows = append(rows, []string{string(db.KindRecovery), fmt.Sprintf("%d codes left", has.Recovery), "added " + timeText(has.RecoveryMade, ""), ""})
	}
	if rows == nil {
		fmt.Fprintf(p.Err, "%s has no second factor.\n", printable(user.Username))
		return nil
	}
	return p.table(rows)
}

// keysRemain says that a user's API tokens outlive what was done, and what to do.
func (p *Program) keysRemain(ctx context.Context, a *app.App, user db.User, do string) error {
	n, err := a.KeysOf(ctx, user)
	if err == nil && n > 0 {
		fmt.Fprintf(p.Err, "%d API tokens of %s remain: %s.\n", n, user.Username, do)
	}
	return err
}

// password reads a new password from the file that was given, or asks for it.
func (p *Program) password(ctx context.Context, c *cli.Command) (string, error) {
	switch file := c.String("password-file"); file {
	case "":
	case "-":
		return readPassword(p.In, "standard input")
	default:
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		defer f.Close()
		return readPassword(f, file)
	}
	if !term.IsTerminal(int(p.In.Fd())) {
		return "", usagef("no terminal to ask for the password on: give --password-file FILE, or --password-file - for standard input")
	}
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(p.Err, prompt)
		line, err := readHidden(ctx, int(p.In.Fd()))
		fmt.Fprintln(p.Err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = line
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return "", errors.New("the two passwords differ")
	}
	return string(typed[0]), nil
}

// readHidden reads a line from a terminal without showing it. An interrupt ends
// the wait, and shows again what is typed.
func readHidden(ctx context.Context, fd int) (line []byte, err error) {
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		line, err = term.ReadPassword(fd)
		close(read)
	}()
	select {
	case <-read:
		return line, err
	case <-ctx.Done():
		return nil, errors.Join(errors.New("interrupted"), term.Restore(fd, state))
	}
}

func readPassword(r io.Reader, from string) (string, error) {
	password, err := config.ReadSecret(r)
	if err != nil {
		return "", fmt.Errorf("read the password from %s: %w", from, err)
	}
	return password, nil
}

func (p *Program) userList(ctx context.Context, c *cli.Command, a *app.App) error {
	users, _, err := a.Users(ctx, app.Operator, db.UserFilter{Limit: math.MaxInt32})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		objects := make([]any, len(users))
		for i, u := range users {
			objects[i] = p.UserObject(u)
		}
		return p.json(objects)
	}
	rows := [][]string{{"ID", "USER", "NAME", "EMAIL", "GROUPS", "ROLE", "STATE", "LAST SIGN-IN"}}
	for _, u := range users {
		var groups []string
		for _, g := range u.Groups {
			groups = append(groups, g.Name)
		}
		role, state := "user", "active"
		if u.Superuser {
			role = "superuser"
		}
		if !u.Active {
			state = "disabled"
		}
		rows = append(rows, []string{fmt.Sprint(u.ID), u.Username, u.Name, u.Email, strings.Join(groups, ", "), role, state, timeText(u.LastLogin, "never")})
	}
	return p.table(rows, "EMAIL", "NAME", "GROUPS", "ROLE")
}
