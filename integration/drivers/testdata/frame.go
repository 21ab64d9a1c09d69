package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx, user, request := context.Background(), "u_42", "r-9"
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	defer conn.Close(ctx)
	if err := pay(ctx, conn, user, request); err != nil {
		panic(err)
	}
}

func pay(ctx context.Context, conn *pgx.Conn, user, request string) error {
	EXAMPLE
	return err
}
