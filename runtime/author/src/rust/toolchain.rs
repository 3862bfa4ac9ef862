//! Which compiler turns Rust into WebAssembly on this machine, and how cargo is told to use it.
//!
//! rustup's `wasm32-unknown-unknown` is used where it is installed or can be downloaded. Where rustup cannot download
//! (an offline or closed network), Debian's compiler comes with the source of the standard library and builds it along.

use crate::BuildError;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of every guest.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// `rustup` or `debian`: uses that toolchain only, instead of the first one that is there.
const CHOICE: &str = "TIDEMARK_GUEST_TOOLCHAIN";

const DEBIAN_COMPILER: &str = "/usr/bin/rustc";

/// A way to compile for [`TARGET`].
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The toolchain of the cargo in use, with rustup's compiled standard library.
    Rustup,
    /// Debian's `rustc-web` with the source of the standard library from `rust-web-src`.
    Debian {
        /// An LLD that links WebAssembly.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The first one that works here. Downloads rustup's target if it can; the error says what to install.
    pub fn find() -> Result<Self, BuildError> {
        let choice = std::env::var(CHOICE).unwrap_or_default();
        if choice != "debian" && (rustup_target_is_installed() || rustup_target_can_be_added()) {
            return Ok(Self::Rustup);
        }
        if choice != "rustup"
            && let Some(linker) = debian_source().and_then(|()| wasm_linker())
        {
            return Ok(Self::Debian { linker });
        }
        Err(BuildError::missing(
            format!("a Rust compiler for {TARGET}"),
            format!(
                "run `rustup target add {TARGET}`, or, where rustup cannot download, \
                 `apt-get install --no-install-recommends rustc-web rust-web-src lld` on Debian"
            ),
        ))
    }

    /// Adds what `command`, a cargo build, needs to compile for [`TARGET`].
    pub fn apply(&self, command: &mut Command) {
        command.arg("--target").arg(TARGET);
        if let Self::Debian { linker } = self {
            command
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", DEBIAN_COMPILER)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }

    /// The folder below `target` that this toolchain builds in, apart from the other's, so that switching rebuilds
    /// nothing.
    #[must_use]
    pub fn folder(&self, target: &Path) -> PathBuf {
        target.join(match self {
            Self::Rustup => "guests",
            Self::Debian { .. } => "guests-debian",
        })
    }
}

fn rustup_target_is_installed() -> bool {
    sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn rustup_target_can_be_added() -> bool {
    // Silent: on a closed network the failure is expected, and the caller says what to do if nothing else helps.
    let added = Command::new("rustup").args(["--quiet", "target", "add", TARGET]).stderr(Stdio::null()).status();
    added.is_ok_and(|status| status.success()) && rustup_target_is_installed()
}

fn debian_source() -> Option<()> {
    let library = Path::new("/usr/lib/rustlib/src/rust/library/Cargo.toml");
    (Path::new(DEBIAN_COMPILER).is_file() && library.is_file()).then_some(())
}

/// rustup's own LLD, else the system's.
fn wasm_linker() -> Option<PathBuf> {
    let bundled = sysroot().map(|sysroot| sysroot.join(format!("lib/rustlib/{}/bin/rust-lld", host())));
    let system = ["/usr/bin/rust-lld", "/usr/bin/wasm-ld"].map(PathBuf::from);
    bundled.into_iter().chain(system).find(|linker| linker.is_file())
}

/// The root of the toolchain of the cargo in use.
fn sysroot() -> Option<PathBuf> {
    let output = rustc().args(["--print", "sysroot"]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The compiler beside the cargo that started this program, if one did: another one may come first on the path.
fn rustc() -> Command {
    let beside = std::env::var_os("CARGO").map(|cargo| PathBuf::from(cargo).with_file_name("rustc"));
    Command::new(beside.filter(|rustc| rustc.is_file()).unwrap_or_else(|| "rustc".into()))
}

/// This machine's target triple, as rustup's folders spell it.
const fn host() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}
