// Swap rate in Go, a metric of the catalogue.
module github.com/tidemark/tidemark/metrics-wasm/swap-rate-go

go 1.26

tool github.com/tidemark/tidemark/guest-sdk/go/cmd/tidemark-go

require github.com/tidemark/tidemark/guest-sdk/go v0.0.0

replace github.com/tidemark/tidemark/guest-sdk/go => ../../guest-sdk/go
