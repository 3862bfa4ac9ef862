//! C: the machine's own compiler for tests, clang with wasi-libc for components. Debian has both (`xtask setup`).

use super::{Sdk, Source, empty_folder, toolchain_folder};
use crate::process::run;
use crate::workspace;
use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;
use tidemark_author::c::{Toolchain, component};

/// Conformance's wrong guests are all made of one file, each with a mistake.
const WRONG: &str = "guest-sdk/conformance/wrong.c";

const SOURCES: [Source; 10] = [
    Source { name: "jitter-coefficient-c", path: "guest-sdk/c/examples/jitter-coefficient/metric.c" },
    Source { name: "prompt-to-first-frame-c", path: "guest-sdk/c/examples/prompt-to-first-frame/metric.c" },
    Source { name: "output-fps-c", path: "metrics-wasm/output-fps-c/metric.c" },
    Source { name: "wrong-none-c", path: WRONG },
    Source { name: "wrong-output-c", path: WRONG },
    Source { name: "wrong-order-c", path: WRONG },
    Source { name: "wrong-forgetful-c", path: WRONG },
    Source { name: "wrong-remembering-c", path: WRONG },
    Source { name: "wrong-state-c", path: WRONG },
    Source { name: "wrong-describe-c", path: WRONG },
];

/// Metrics of the catalogue; the SDK's own Makefile tests the examples.
const CATALOGUE: [&str; 1] = ["metrics-wasm/output-fps-c"];

struct C {
    toolchain: Toolchain,
}

/// Finds clang and wasi-libc.
pub(super) fn find() -> Result<Box<dyn Sdk>> {
    Ok(Box::new(C { toolchain: Toolchain::find()? }))
}

impl Sdk for C {
    fn test(&self) -> Result<()> {
        let out = toolchain_folder("c")?;
        let mut make = Command::new("make");
        make.args(["--silent", "--directory"]).arg(workspace::root().join("guest-sdk/c"));
        run(make.arg(format!("OUT={}", out.display())).arg("test"))?;
        for metric in CATALOGUE {
            let folder = workspace::root().join(metric);
            let test = out.join("catalogue.test");
            let mut compiler = Command::new("cc");
            compiler.args(["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]);
            compiler.arg("-fsanitize=address,undefined").arg("-I").arg(workspace::root().join("guest-sdk/c/include"));
            run(compiler.arg("-o").arg(&test).arg(folder.join("test.c")).arg("-lm"))?;
            run(&mut Command::new(&test))?;
        }
        Ok(())
    }

    /// An archive of the headers, flags and README, unpacked elsewhere, with which the README's example is built.
    fn package(&self) -> Result<()> {
        let folder = empty_folder("c-package")?;
        let sdk = workspace::root().join("guest-sdk/c");
        let archive = folder.join("tidemark-c.tar.gz");
        let mut pack = Command::new("tar");
        pack.arg("--create").arg("--gzip").arg("--file").arg(&archive).arg("--directory").arg(&sdk);
        run(pack.args(["include", "wasm.flags", "README.md", "Makefile"]))?;
        run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&folder))?;
        let example = sdk.join("examples/slow-requests/metric.c");
        component(&self.toolchain, &folder.join("include"), &example)?;
        Ok(())
    }

    fn sources(&self) -> &'static [Source] {
        &SOURCES
    }

    fn component(&self, source: &Source) -> Result<Vec<u8>> {
        let (include, file) = (workspace::root().join("guest-sdk/c/include"), workspace::root().join(source.path));
        let Some(mistake) = source.name.strip_prefix("wrong-").and_then(|name| name.strip_suffix("-c")) else {
            return Ok(component(&self.toolchain, &include, &file)?);
        };
        let wrapper = toolchain_folder("c")?.join(format!("{}.c", source.name));
        let text = format!("#define WRONG_{}\n#include \"{}\"\n", mistake.to_uppercase(), file.display());
        fs::write(&wrapper, text).with_context(|| format!("cannot write {}", wrapper.display()))?;
        Ok(component(&self.toolchain, &include, &wrapper)?)
    }
}
