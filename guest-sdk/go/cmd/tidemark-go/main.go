// Command tidemark-go makes components of metrics that are written in Go. It needs nothing but Go.
//
//	tidemark-go build [-o FILE] [PACKAGE]     make a component; NAME.wasm unless set
//	tidemark-go describe [PACKAGE]            print what the metric says of itself, as JSON
//
// PACKAGE is the one in the current folder unless it is named.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tidemark/tidemark/guest-sdk/go/frame"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	usage := errors.New("usage: tidemark-go build [-o FILE] [PACKAGE], or tidemark-go describe [PACKAGE]")
	if len(arguments) == 0 || arguments[0] != "build" && arguments[0] != "describe" {
		return usage
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	output := flags.String("o", "", "the component; NAME.wasm unless set")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	packagePath := "."
	switch flags.NArg() {
	case 0:
	case 1:
		packagePath = flags.Arg(0)
	default:
		return usage
	}
	folder, err := os.MkdirTemp("", "tidemark-go")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	description, err := describe(packagePath, filepath.Join(folder, "declared"))
	if err != nil {
		return err
	}
	if arguments[0] == "describe" {
		_, err = os.Stdout.WriteString(description)
		return err
	}
	return build(packagePath, description, filepath.Join(folder, "module.wasm"), *output)
}

// describe builds the package natively and starts it, which checks what it declares: in a component nobody would see why
// it does not start.
func describe(packagePath, program string) (string, error) {
	if err := goTool(nil, "build", "-o", program, packagePath); err != nil {
		return "", fmt.Errorf("%s does not compile; Go's messages are above: %w", packagePath, err)
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), "TIDEMARK_GO_DESCRIBE=1")
	var messages strings.Builder
	command.Stderr = &messages
	description, err := command.Output()
	if err != nil {
		message, _, _ := strings.Cut(messages.String(), "\n\ngoroutine ")
		return "", fmt.Errorf("%s does not start:\n%s", packagePath, message)
	}
	if count := strings.Count(string(description), "\n"); count != 1 {
		return "", fmt.Errorf("%s exports %d metrics; a component has one: var Metric = metric.Export…", packagePath, count)
	}
	return string(description), nil
}

func build(packagePath, description, module, output string) error {
	var described struct{ Name, Version string }
	if err := json.Unmarshal([]byte(description), &described); err != nil {
		return err
	}
	target := []string{"GOOS=wasip1", "GOARCH=wasm"}
	err := goTool(target, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", module, packagePath)
	if err != nil {
		return fmt.Errorf("%s does not compile for WebAssembly; Go's messages are above: %w", packagePath, err)
	}
	core, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	component, err := frame.Component(core)
	if err != nil {
		return err
	}
	if output == "" {
		output = described.Name + ".wasm"
	}
	if err := os.WriteFile(output, component, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MB, %s %s\n", output, float64(len(component))/1e6, described.Name, described.Version)
	return nil
}

// goTool runs Go with additions to the environment.
func goTool(environment []string, arguments ...string) error {
	command := exec.Command("go", arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}
