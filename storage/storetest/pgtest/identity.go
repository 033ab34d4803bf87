package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// PostgreSQL refuses to run as root, so root runs it as the user that the
// package of the distribution made for it.

// servant is the user to run as, or nil to stay who we are.
func servant() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and its own user is missing: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// handOver gives the directory to the user that the server runs as.
func (s *Server) handOver() error {
	as, err := servant()
	if err != nil || as == nil {
		return err
	}
	return os.Chown(s.dir, int(as.Uid), int(as.Gid))
}

// command runs in the server's directory and in a process group of its own,
// which an interrupt at the terminal does not reach.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if as, err := servant(); err == nil {
		cmd.SysProcAttr.Credential = as
	}
	return cmd
}
