//go:build integration

package integration

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pgwitness/integration/product"
)

// TestAsInTheImage: the binary runs as nobody in a root that holds nothing else and that it cannot write to: no directory
// for temporary files, no /etc, no home, no /proc. So it is static, and needs no file. Where the test is not root, it
// is its own user, in the machine's root.
func TestAsInTheImage(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, 18)
	tr.Exec(t, "create table t (id int primary key)")
	tr.setup(t, "public.*")
	tr.insert(t, 1, 3)

	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "pgwitness")
	copyFile(t, product.Binary(t), program)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "run", "--until", tr.position(t).String())
	cmd.Dir, cmd.Env = "/", tr.environment() // and nothing of the test's own
	if os.Getuid() == 0 {
		reachable(t, root)
		cmd.Path = "/pgwitness"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.Bytes())
	}
	tr.expectOnce(t, inserts(1, 2, 3))
	left, err := os.ReadDir(root)
	if err != nil || len(left) != 1 {
		t.Errorf("in its root there are %v (%v)", left, err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// reachable lets others than root pass through the test's own directories, down to dir.
func reachable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
