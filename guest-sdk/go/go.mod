// The Go SDK of Tidemark. It has no dependencies.
module github.com/tidemark/tidemark/guest-sdk/go

go 1.26
