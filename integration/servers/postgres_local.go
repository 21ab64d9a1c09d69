//go:build integration

package servers

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"pgwitness/integration/process"
)

// releases are those of io.zonky.test.postgres on Maven Central: one a major version.
var releases = map[int]string{14: "14.23.0", 15: "15.18.0", 16: "16.14.0", 17: "17.10.0", 18: "18.4.0"}

// localPostgres starts a server of this machine.
func localPostgres(version int, settings []string) (*Postgres, error) {
	bin, err := postgresBinaries(version)
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := Scratch(fmt.Sprintf("postgres-%d", version))
	if err != nil {
		return nil, err
	}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	options, settings := initOptions(settings)
	if err := initdb(bin, data, options, credential); err != nil {
		return nil, err
	}
	settings = append([]string{
		"listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", port), "unix_socket_directories=" + dir,
	}, settings...)
	p := &Postgres{
		Version: version, Host: "127.0.0.1", Port: port, SockDir: dir, DataDir: data,
		user: userinfo(superuser, password),
	}
	server := &child{data: dir, command: process.Command{
		Path: filepath.Join(bin, "postgres"), Args: append([]string{"-D", data}, switches(settings)...),
		Dir: dir, Credential: credential, Stderr: filepath.Join(dir, "log"),
		// An immediate shutdown: the postmaster takes its children with it and removes its shared memory.
		Orphaned: syscall.SIGQUIT,
	}}
	p.instance = server
	if err := server.start(); err != nil {
		return nil, err
	}
	if err := p.ready(); err != nil {
		server.remove()
		return nil, err
	}
	return p, nil
}

// initOptions parts what is for initdb from the server's settings.
func initOptions(all []string) (options, settings []string) {
	for _, s := range all {
		if strings.HasPrefix(s, "--") {
			options = append(options, s)
		} else {
			settings = append(settings, s)
		}
	}
	return options, settings
}

func switches(settings []string) []string {
	args := make([]string, 0, 2*len(settings))
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

func userinfo(name, secret string) *url.Userinfo {
	if secret == "" {
		return url.User(name)
	}
	return url.UserPassword(name, secret)
}

// initdb makes a cluster whose logins work as in the official image: everybody by password, also from replication.
func initdb(bin, data string, options []string, credential *syscall.Credential) error {
	secret := data + ".password"
	if err := os.WriteFile(secret, []byte(password), 0o644); err != nil {
		return err
	}
	defer os.Remove(secret)
	cmd := exec.Command(filepath.Join(bin, "initdb"), append([]string{"-D", data, "-U", superuser, "--pwfile", secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"}, options...)...)
	cmd.Dir = filepath.Dir(data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, lastLines(out, 20))
	}
	return nil
}

// unprivileged is the user that PostgreSQL runs as when we are root, whom it refuses; nil when we are not.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

// postgresBinaries fetches the server's programs and returns their directory.
func postgresBinaries(version int) (string, error) {
	release, ok := releases[version]
	if !ok {
		return "", fmt.Errorf("%w: PostgreSQL %d is not among %v", errAbsent, version, Versions)
	}
	platform, err := zonkyPlatform()
	if err != nil {
		return "", err
	}
	artifact := "embedded-postgres-binaries-" + platform
	dir, err := Cached("postgres-"+release+"-"+platform, func(dir string) error {
		err := Maven("dependency:copy", "-Dartifact=io.zonky.test.postgres:"+artifact+":"+release,
			"-DoutputDirectory="+dir)
		if err != nil {
			return err
		}
		jar := filepath.Join(dir, artifact+"-"+release+".jar")
		return errors.Join(unpackJar(jar, dir), os.Remove(jar))
	})
	return filepath.Join(dir, "bin"), err
}

// zonkyPlatform is the platform as the artifacts' names have it.
func zonkyPlatform() (string, error) {
	arch := map[string]string{"amd64": "amd64", "arm64": "arm64v8"}[runtime.GOARCH]
	if arch == "" || (runtime.GOOS != "linux" && runtime.GOOS != "darwin") {
		return "", fmt.Errorf("%w: no PostgreSQL binaries for %s/%s", errAbsent, runtime.GOOS, runtime.GOARCH)
	}
	return strings.Join([]string{runtime.GOOS, arch}, "-"), nil
}
