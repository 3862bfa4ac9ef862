//! Metrics in C: clang makes a core module with wasi-libc, which is then wrapped. The SDK is headers alone.

use crate::process::{self, find};
use crate::{BuildError, Project, component};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file with the flags that every metric is compiled with, beside the SDK's folder of headers.
const FLAGS: &str = "wasm.flags";

/// What a project tells its editor, and from where the SDK's headers are known.
pub const COMPILE_FLAGS: &str = "compile_flags.txt";

const REMEDY: &str = "`apt-get install --no-install-recommends clang lld wasi-libc libclang-rt-14-dev-wasm32` on Debian, \
                      or set WASI_SDK_PATH to an unpacked wasi-sdk (https://github.com/WebAssembly/wasi-sdk)";

/// A clang that compiles for WASI.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The compiler.
    pub clang: PathBuf,
    /// Where it finds wasi-libc, unless it knows.
    pub libc: Vec<String>,
}

impl Toolchain {
    /// wasi-sdk in `WASI_SDK_PATH`, else the system's clang with Debian's wasi-libc.
    pub fn find() -> Result<Self, BuildError> {
        if let Some(sdk) = std::env::var_os("WASI_SDK_PATH").map(PathBuf::from) {
            let clang = sdk.join("bin/clang");
            let is_there = clang.is_file();
            let missing = || BuildError::missing(format!("{}", clang.display()), "set WASI_SDK_PATH to a wasi-sdk");
            return if is_there { Ok(Self { clang, libc: Vec::new() }) } else { Err(missing()) };
        }
        let headers = "/usr/include/wasm32-wasi";
        match (find("clang"), find("wasm-ld"), Path::new(headers).is_dir()) {
            (Some(clang), Some(_), true) => {
                Ok(Self { clang, libc: vec!["--sysroot=/usr".to_owned(), format!("-I{headers}")] })
            }
            (clang, linker, libc) => {
                let lacks = [("clang", clang.is_some()), ("wasm-ld", linker.is_some()), ("wasi-libc", libc)];
                let lacks: Vec<&str> = lacks.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
                Err(BuildError::missing(format!("for C, {}", lacks.join(" and ")), REMEDY))
            }
        }
    }
}

/// Makes a component of the metric in `file` with the SDK's headers in `include`.
pub fn component(toolchain: &Toolchain, include: &Path, file: &Path) -> Result<Vec<u8>, BuildError> {
    let scratch = tempfile::tempdir().map_err(BuildError::file(&std::env::temp_dir()))?;
    let out = scratch.path().join("metric.core.wasm");
    let flags = include.with_file_name(FLAGS);
    let flags = fs::read_to_string(&flags).map_err(BuildError::file(&flags))?;
    let mut command = Command::new(&toolchain.clang);
    command.args(flags.split_whitespace()).args(&toolchain.libc).arg("-I").arg(include).arg("-o").arg(&out).arg(file);
    process::run(&mut command)?;
    component::encode_pure(&fs::read(&out).map_err(BuildError::file(&out))?)
}

/// The same for a project.
pub(crate) fn project(project: &Project) -> Result<Vec<u8>, BuildError> {
    component(&Toolchain::find()?, &headers_of(&project.folder)?, &project.source)
}

/// The folder of headers that a project's `compile_flags.txt` names.
fn headers_of(folder: &Path) -> Result<PathBuf, BuildError> {
    let file = folder.join(COMPILE_FLAGS);
    let flags = fs::read_to_string(&file).map_err(BuildError::file(&file))?;
    let mut folders =
        flags.lines().filter_map(|line| line.trim().strip_prefix("-I")).map(|path| folder.join(path.trim()));
    let found = folders.find(|include| include.join("tidemark.h").is_file());
    found.ok_or_else(|| {
        let file = file.display();
        BuildError::Project(format!(
            "no `-I…` in {file} names a folder with tidemark.h, the SDK's header: add the line"
        ))
    })
}
