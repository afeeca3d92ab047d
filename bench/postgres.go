package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"lastseen/db/pgtest"

	"github.com/jackc/pgx/v5/pgconn"
)

// startPostgres starts a PostgreSQL that keeps what it is told, as far as its folder does,
// and has most of its usual settings.
func (b *bench) startPostgres() (stop func(), err error) {
	b.postgres, err = pgtest.Start()
	if err != nil {
		return nil, err
	}
	b.postgres.Stop(syscall.SIGINT)
	err = b.postgres.Start("fsync=on", "full_page_writes=on", "synchronous_commit=on", "autovacuum=on", "shared_buffers=1GB")
	return b.postgres.Remove, err
}

// moveData moves the data of a directory into a new database, and returns its URL.
func (b *bench) moveData(dir string) (url string, err error) {
	b.databases++
	name := fmt.Sprintf("bench%d", b.databases)
	if err := onDatabase(b.ctx, b.postgres.URL, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	url = strings.Replace(b.postgres.URL, "/postgres?", "/"+name+"?", 1)
	if out, err := exec.CommandContext(b.ctx, b.binary, "move", url, "--data", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return url, onDatabase(b.ctx, url, "VACUUM ANALYZE")
}

func onDatabase(ctx context.Context, url, statement string) error {
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(conn.Exec(ctx, statement).Close(), conn.Close(ctx))
}

// A selector asks a database SELECT 1, on one of some connections.
type selector chan *pgconn.PgConn

func newSelector(url string) (selector, error) {
	const connections = 8 // as many as ours has, on two cores
	s := make(selector, connections)
	for range connections {
		conn, err := pgconn.Connect(context.Background(), url)
		if err == nil {
			_, err = conn.Prepare(context.Background(), "one", "SELECT 1", nil)
		}
		if err != nil {
			return nil, err
		}
		s <- conn
	}
	return s, nil
}

func (s selector) ask() error {
	conn := <-s
	defer func() { s <- conn }()
	return conn.ExecPrepared(context.Background(), "one", nil, nil, nil).Read().Err
}
