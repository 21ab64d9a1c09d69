# A static binary and the certificates of the public authorities, nothing else. Runs as nobody.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /pgwitness ./cmd/pgwitness

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /pgwitness /pgwitness
USER 65534:65534
ENTRYPOINT ["/pgwitness"]
CMD ["run"]
