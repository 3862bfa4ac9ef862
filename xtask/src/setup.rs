//! `cargo xtask setup`: what a fresh machine lacks besides rustup. Quick where nothing is missing.
//!
//! Packages are installed where that needs nobody's password (root, or sudo that asks for none); elsewhere the one
//! command to run is printed.

use crate::clickhouse;
use crate::process::{self, find, spell, succeeds};
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use tidemark_author::{c, rust};

/// A tool of the build and the Debian packages that bring it.
struct Tool {
    purpose: &'static str,
    packages: &'static [&'static str],
    is_required: bool,
    is_there: fn() -> bool,
}

const TOOLS_OF_THE_BUILD: [Tool; 5] = [
    Tool {
        purpose: "a C++ compiler, for RocksDB",
        packages: &["g++"],
        is_required: true,
        is_there: || find("cc").is_some() && find("c++").is_some(),
    },
    Tool {
        purpose: "libclang, which reads RocksDB's C header",
        packages: &["libclang-dev"],
        is_required: true,
        is_there: libclang_is_there,
    },
    Tool {
        purpose: "a Rust compiler for WebAssembly, for the metrics",
        packages: &["rustc-web", "rust-web-src", "lld"],
        is_required: true,
        is_there: || rust::Toolchain::find().is_ok(),
    },
    Tool {
        purpose: "what the Kafka client is built with",
        packages: &["cmake", "make", "libssl-dev", "pkg-config"],
        is_required: true,
        is_there: || find("cmake").is_some() && find("make").is_some() && openssl_is_there(),
    },
    Tool {
        purpose: "ccache, which saves a quarter of an hour when RocksDB is compiled again",
        packages: &["ccache"],
        is_required: false,
        is_there: || find("ccache").is_some(),
    },
];

const TOOLS_OF_THE_TESTS: [Tool; 4] = [
    Tool {
        purpose: "curl, which runs the examples of the REST API",
        packages: &["curl"],
        is_required: true,
        is_there: || find("curl").is_some(),
    },
    Tool {
        purpose: "Java 17 or later, which runs Apache Kafka",
        packages: &["openjdk-17-jre-headless"],
        is_required: true,
        is_there: || find("java").is_some(),
    },
    Tool {
        purpose: "Maven, which fetches Apache Kafka",
        packages: &["maven"],
        is_required: true,
        is_there: || test_kafka::is_installed() || find("mvn").is_some(),
    },
    Tool {
        purpose: "Python with virtual environments, for the ClickHouse engine and the tools that tests run",
        packages: &["python3-venv"],
        is_required: true,
        is_there: || {
            clickhouse::is_there() && test_tools::is_installed()
                || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
        },
    },
];

const TOOLS_OF_THE_LANGUAGES: [Tool; 3] = [
    Tool {
        purpose: "clang with what it needs for WebAssembly, for metrics in C",
        packages: &["clang", "lld", "wasi-libc", "libclang-rt-dev-wasm32", "make"],
        is_required: true,
        is_there: || c::Toolchain::find().is_ok() && wasm_builtins_are_there(),
    },
    Tool {
        purpose: "any Go from 1.17 on, which fetches the one that the SDK needs",
        packages: &["golang-go"],
        is_required: true,
        is_there: || find("go").is_some(),
    },
    Tool {
        purpose: "Python with virtual environments, for metrics in Python",
        packages: &["python3-venv"],
        is_required: true,
        is_there: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
    },
];

/// Installs what is missing of what the build needs, or fails with the command that would.
pub(crate) fn for_the_build() -> Result<()> {
    install_missing(&TOOLS_OF_THE_BUILD)
}

/// The same, and what tests run against: a Kafka broker, ClickHouse's engine, programs that read deployment files.
pub(crate) fn for_everything() -> Result<()> {
    for_the_build()?;
    for_languages().and_then(|()| install_missing(&TOOLS_OF_THE_TESTS)).and_then(|()| install_servers()).or_else(
        |error| {
            // Tests that need a server say that they did not run; in CI they must.
            ensure!(std::env::var_os("CI").is_none(), error);
            println!("set-up: not every server for the tests is there: {error:#}");
            Ok(())
        },
    )
}

/// What the SDKs of other languages need of the system. The rest is fetched from their own registries.
pub(crate) fn for_languages() -> Result<()> {
    install_missing(&TOOLS_OF_THE_LANGUAGES)
}

fn install_servers() -> Result<()> {
    test_kafka::install().context("the tests of Kafka have no broker to run against")?;
    if !clickhouse::is_there() {
        clickhouse::install().context("the tests of ClickHouse have no engine to run against")?;
    }
    test_tools::install().context("the tests of deployment files have nothing to read them with")?;
    test_tools::install_registry().context("the tests of modules have no registry of containers to pull from")?;
    Ok(())
}

fn install_missing(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !(tool.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.iter().for_each(|tool| println!("set-up: missing {} ({})", tool.purpose, tool.packages.join(", ")));
    let outcome = install(&missing);
    let still_missing: Vec<&Tool> = tools.iter().filter(|tool| tool.is_required && !(tool.is_there)()).collect();
    if still_missing.is_empty() {
        return Ok(());
    }
    let purposes: Vec<&str> = still_missing.iter().map(|tool| tool.purpose).collect();
    let mut command = apt_get(None);
    command.args(install_arguments(&still_missing));
    bail!(
        "still missing: {}{}. On Debian or Ubuntu run:\n\n    sudo apt-get update && sudo {}\n\nthen try again",
        purposes.join("; "),
        outcome.map_or_else(|error| format!(" ({error})"), |()| String::new()),
        spell(&command),
    )
}

/// Installs the packages of `tools` where nobody's password is needed.
fn install(tools: &[&Tool]) -> Result<()> {
    let Some(rights) = Rights::find() else { bail!("installing packages needs root") };
    let arguments = install_arguments(tools);
    // A fresh image has no package lists; one in use has them, and then asking again would only take time.
    if process::run(apt_get(Some(&rights)).args(&arguments)).is_err() {
        process::run(apt_get(Some(&rights)).arg("update"))?;
        process::run(apt_get(Some(&rights)).args(&arguments))?;
    }
    Ok(())
}

fn install_arguments(tools: &[&Tool]) -> Vec<&'static str> {
    let packages = tools.iter().flat_map(|tool| tool.packages);
    ["install", "--yes", "--quiet", "--no-install-recommends"].into_iter().chain(packages.copied()).collect()
}

/// How packages can be installed without asking anybody.
enum Rights {
    Root,
    Sudo,
}

impl Rights {
    fn find() -> Option<Self> {
        find("apt-get")?;
        let user = Command::new("id").arg("--user").output().ok()?;
        if user.stdout.trim_ascii() == b"0" {
            return Some(Self::Root);
        }
        succeeds(Command::new("sudo").args(["--non-interactive", "true"])).then_some(Self::Sudo)
    }
}

/// apt-get; without rights only to be shown.
fn apt_get(rights: Option<&Rights>) -> Command {
    match rights {
        Some(Rights::Sudo) => {
            let mut command = Command::new("sudo");
            command.args(["--non-interactive", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            command
        }
        Some(Rights::Root) | None => {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        }
    }
}

/// Whether OpenSSL's headers are where its crate asks pkg-config for them.
fn openssl_is_there() -> bool {
    succeeds(Command::new("pkg-config").args(["--exists", "openssl"]))
}

/// Whether clang finds the functions that WebAssembly has no instructions for.
fn wasm_builtins_are_there() -> bool {
    let mut print = Command::new("clang");
    let told = print.args(["--target=wasm32-wasi", "--print-libgcc-file-name"]).output();
    let file = told.ok().and_then(|told| String::from_utf8(told.stdout).ok());
    std::env::var_os("WASI_SDK_PATH").is_some() || file.is_some_and(|file| Path::new(file.trim()).is_file())
}

/// Whether bindgen will find libclang: where it is told to look, or where distributions put it.
fn libclang_is_there() -> bool {
    let told = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    if let Some(path) = told {
        return path.is_file() || has_libclang(&path);
    }
    let llvm = Path::new("/usr/lib").read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let llvm = llvm.filter(|path| file_name(path).starts_with("llvm")).map(|path| path.join("lib"));
    let usual = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    usual.into_iter().map(PathBuf::from).chain(llvm).any(|folder| has_libclang(&folder))
}

fn has_libclang(folder: &Path) -> bool {
    let mut files = folder.read_dir().into_iter().flatten().flatten();
    files.any(|entry| {
        file_name(&entry.path()).starts_with("libclang.so") || file_name(&entry.path()) == "libclang.dylib"
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
