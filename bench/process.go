package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a server under test.
type process struct {
	cmd     *exec.Cmd
	address string
	host    string   // the Host header of requests to it
	data    shape    // of what it serves, or whose requests it gets
	asked   int      // how many of the sessions were asked for in turn
	beside  *process // whose processor time counts too
	log     bytes.Buffer
	took    time.Duration // from exec until it answered
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start runs a server that listens on address, and waits until path is 200, or it answers
// at all where path is empty.
func start(ctx context.Context, address, path, name string, args ...string) (*process, error) {
	p := &process{address: address, host: authHost, cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 30*time.Second {
		// No keep-alive: a connection of ours would stay open under the load.
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+path, nil)
		if err != nil {
			return nil, err
		}
		req.Host = authHost
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK || path == "" {
				p.took = time.Since(began)
				return p, nil
			}
		}
		time.Sleep(500 * time.Microsecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s did not answer: %s", name, &p.log)
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 { // by the signal
		return nil
	}
	return err
}

// cpu is the processor time that it used so far, in user and kernel, with its children.
func (p *process) cpu() (time.Duration, error) {
	total, err := cpu(strconv.Itoa(p.cmd.Process.Pid))
	if err == nil && p.beside != nil {
		beside, err := p.beside.cpu()
		return total + beside, err
	}
	return total, err
}

func cpu(pid string) (total time.Duration, err error) {
	threads, err := filepath.Glob("/proc/" + pid + "/task/*")
	if err != nil || len(threads) == 0 {
		return 0, errors.Join(err, errors.New("no /proc: this needs Linux"))
	}
	for _, thread := range threads { // Go's threads do not end
		text, err := os.ReadFile(thread + "/schedstat")
		if err != nil {
			return 0, err
		}
		running, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(running, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", thread, err)
		}
		total += time.Duration(ns)
		children, err := os.ReadFile(thread + "/children")
		if err != nil {
			return 0, err
		}
		for _, child := range strings.Fields(string(children)) {
			used, err := cpu(child)
			if err != nil {
				return 0, err
			}
			total += used
		}
	}
	return total, nil
}

// settle waits until it has nothing to do, for at most two minutes.
func (p *process) settle() error {
	for range 120 {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		after, err := p.cpu()
		if err != nil {
			return err
		}
		if after-before < 50*time.Millisecond {
			return nil
		}
	}
	return nil
}

// memory is what it has resident, in bytes: private pages, pages of mapped
// files, which the system can take back, and its proportional share of both.
type memory struct{ Private, File, PSS int64 }

func (p *process) memory() (m memory, err error) {
	fields := map[string]*int64{"RssAnon:": &m.Private, "RssFile:": &m.File, "Pss:": &m.PSS}
	for _, name := range []string{"status", "smaps_rollup"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
		if err != nil {
			return m, err
		}
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) == 3 && fields[words[0]] != nil {
				kib, err := strconv.ParseInt(words[1], 10, 64)
				if err != nil {
					return m, err
				}
				*fields[words[0]] = kib << 10
			}
		}
	}
	return m, nil
}
