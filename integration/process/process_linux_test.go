package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this binary be the parent that TestChildDiesWithItsParent kills.
func TestMain(m *testing.M) {
	if pidFile := os.Getenv("PROCESS_TEST_PARENT"); pidFile != "" {
		p, err := Start(Command{Path: "/bin/sleep", Args: []string{"600"}})
		if err == nil {
			err = os.WriteFile(pidFile, strconv.AppendInt(nil, int64(p.PID()), 10), 0o600)
		}
		fmt.Println(err)
		select {}
	}
	os.Exit(m.Run())
}

func shell(script string) Command { return Command{Path: "/bin/sh", Args: []string{"-c", script}} }

func TestExitCodeAndOutput(t *testing.T) {
	c := shell("echo out $X; echo err >&2; exit 3")
	c.Env = []string{"X=y"}
	c.Stdout, c.Stderr = filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "err")
	for run := range 2 { // output is appended: a command can be started again
		p, err := Start(c)
		if err != nil {
			t.Fatal(err)
		}
		if code, err := p.Wait(10 * time.Second); code != 3 || err != nil {
			t.Errorf("Wait = %d, %v", code, err)
		}
		if p.Running() {
			t.Error("runs after its end")
		}
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("a signal after the end: %v", err)
		}
		out, _ := os.ReadFile(c.Stdout)
		if want := strings.Repeat("out y\n", run+1); string(out) != want {
			t.Errorf("stdout %q, want %q", out, want)
		}
	}
	if out, _ := os.ReadFile(c.Stderr); string(out) != "err\nerr\n" {
		t.Errorf("stderr %q", out)
	}
}

func TestSignalledEnd(t *testing.T) {
	p, err := Start(Command{Path: "/bin/sleep", Args: []string{"600"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(time.Millisecond); err == nil || !p.Running() {
		t.Errorf("Wait did not say that it still runs: %v", err)
	}
	if err := p.SignalTree(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if code, err := p.Wait(time.Second); code != 128+9 || err != nil {
		t.Errorf("Wait = %d, %v", code, err)
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := Start(Command{Path: "/nowhere/program"}); err == nil {
		t.Error("started")
	}
}

// TestChildDiesWithItsParent: a test process that is killed, or that a time-out ends, leaves no server behind.
func TestChildDiesWithItsParent(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "PROCESS_TEST_PARENT="+pidFile)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	if n, _ := out.Read(line); string(line[:n]) != "<nil>\n" {
		t.Fatalf("the parent says %q", line[:n])
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child is not there: %v", err)
	}
	parent.Process.Kill()
	parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the child outlives its parent")
		}
	}
}

// alive tells a running process from one that is gone or that nobody has waited for yet.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
