package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/text/secure/precis"
)

// scramVerifier turns a password into the form that the server stores (RFC 5802; scram_build_secret in scram-common.c),
// so that the password itself is neither sent nor in anybody's statement log.
func scramVerifier(password string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
	}
	// As libpq and pgx do: a password that cannot be prepared is used as it stands.
	if prepared, err := precis.OpaqueString.String(password); err == nil {
		password = prepared
	}
	salt := make([]byte, 16) // SCRAM_DEFAULT_SALT_LEN
	rand.Read(salt)
	return saltedVerifier(password, salt)
}

func saltedVerifier(password string, salt []byte) (string, error) {
	const iterations = 4096 // SCRAM_SHA_256_DEFAULT_ITERATIONS
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	stored := sha256.Sum256(sum(salted, "Client Key"))
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, text(salt), text(stored[:]), text(sum(salted, "Server Key"))), nil
}

func sum(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
