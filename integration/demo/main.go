// The demo plays a short story against a real PostgreSQL and shows what pgwitness makes of it. It needs Go and, the first
// time, the network: PostgreSQL is downloaded (postgres.go), the Kafka broker is kfake in this process, and pgwitness is
// the program that `go build` makes, run as anybody would run it (product.go). The story itself is in story.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Children die with the thread that started them (die_linux.go): main starts them all and keeps the first thread.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) == 4 && os.Args[1] == serveCommand {
		if err := serve(os.Args[2], os.Args[3]); err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends us at once
	if err := demo(ctx, os.Getenv("KEEP") != ""); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo leaves nothing behind but PostgreSQL's archive in the cache.
func demo(ctx context.Context, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "pgwitness-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL's user must reach its own directory below
		return err
	}

	say("Building pgwitness …")
	program, err := build(ctx, dir)
	if err != nil {
		return err
	}
	postgres, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, postgres.stop()) }()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return fmt.Errorf("start the Kafka broker: %w", err)
	}
	defer kafka.Close()
	broker := kafka.ListenAddrs()[0]
	say("PostgreSQL %s answers on 127.0.0.1:%d, a Kafka broker on %s.", postgresVersion, postgres.port, broker)

	// From here on nothing waits for the network.
	timely, cancel := context.WithTimeoutCause(ctx, 50*time.Second, errors.New("the story took longer than 50 s"))
	defer cancel()
	if err := open(timely, postgres.url(postgresRole, "demo")); err != nil {
		return fmt.Errorf("open the shop: %w", err)
	}
	p := &product{program: program, dir: dir, broker: broker, postgres: postgres}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.start(timely); err != nil {
		return err
	}
	if err := tell(timely, p); err != nil {
		return err
	}
	if keep {
		invite(p)
		return p.watch(ctx)
	}
	return nil
}

// open makes the shop's tables.
func open(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, shop)
	return errors.Join(err, conn.Close(ctx))
}

// tell plays the acts one after the other, each once the trail of the last one is there, and compares what was done with
// what the trail has.
func tell(ctx context.Context, p *product) error {
	done := ledger{}
	for i, a := range story {
		say("\n── %d. %s ──\n%s\n", i+1, a.title, a.words)
		if err := a.play(ctx, p.postgres.url(a.role, a.application), done); err != nil {
			return err
		}
		if err := p.await(ctx, done.total()); err != nil {
			return err
		}
	}
	if err := p.compare(done); err != nil {
		return err
	}
	say("\nThat last one as Kafka has it:\n%s", p.latest())
	say("\nPostgreSQL committed %d row changes. The trail has these %d, each once, and no others.", done.total(), done.total())
	return nil
}

// invite says how to look around.
func invite(p *product) {
	source := p.postgres.url("alice", "psql")
	say(`
Everything stays up until Ctrl-C, and the trail goes on below. Change something:
  psql '%s'
Read the topics with any Kafka client, or with pgwitness:
  kcat -b %s -C -t pgwitness.public.orders -o beginning -e
  %s tail --brokers %s --from-beginning --json
`, source, p.broker, p.program, p.broker)
}

func say(format string, args ...any) {
	fmt.Println(strings.TrimRight(fmt.Sprintf(format, args...), " "))
}
