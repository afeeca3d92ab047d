package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
)

// heldSocket is the one that systemd holds for us, or nil: connections wait in it while a
// server is started anew. It comes before --listen.
func heldSocket() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if n := os.Getenv("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("LISTEN_FDS is %q, not 1", n)
	}
	file := os.NewFile(3, "socket") // the first, as sd_listen_fds(3) says
	defer file.Close()
	listener, err := net.FileListener(file)
	if err == nil && listener.Addr().Network() != "tcp" {
		err = errors.Join(fmt.Errorf("%s is no TCP address", listener.Addr()), listener.Close())
	}
	return listener, err
}

// listen listens on IPv4 alone where the address is one of IPv4: left to itself, Go
// takes 0.0.0.0 for every address of IPv6 too.
func listen(address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, address)
}

// reachableAddress is where a browser on this machine finds a listener.
func reachableAddress(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr).AddrPort()
	if ip := tcp.Addr(); ip.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", tcp.Port())
	}
	return netip.AddrPortFrom(tcp.Addr().Unmap(), tcp.Port()).String()
}

// setupText says where the first user is set up, by a browser on another machine too.
func setupText(public *url.URL, listen netip.AddrPort, path string) string {
	text := fmt.Sprintf("\nNobody can sign in yet. Set up the first user at\n\n  %s%s\n\n", public, path)
	if ip, err := netip.ParseAddr(public.Hostname()); public.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return text
	}
	if listen.Addr().IsLoopback() {
		name, err := os.Hostname()
		if err != nil {
			name = "HOST"
		}
		return text + fmt.Sprintf("Nobody else can reach that. To open it on another machine, run there\n\n  ssh -L %d:%s %s\n\n", listen.Port(), listen, name)
	}
	// Nothing is sent: the system only says from which address it would be.
	to, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return text
	}
	defer to.Close()
	own := netip.AddrPortFrom(to.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), listen.Port())
	return text + fmt.Sprintf("or on another machine at\n\n  http://%s%s\n\n", own, path)
}
