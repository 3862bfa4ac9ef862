//! C: the machine's own compiler for tests, clang with wasi-libc for components. Debian has both (`xtask setup`).

use super::{Sdk, Source, empty_folder, toolchain_folder, wrong};
use crate::process::run;
use crate::workspace;
use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;
use tidemark_author::c::{Toolchain, component};

const SOURCES: [Source; 10] = [
    Source { name: "jitter-coefficient-c", path: wrong::OF },
    Source { name: "prompt-to-first-frame-c", path: "guest-sdk/c/examples/prompt-to-first-frame/metric.c" },
    Source { name: "output-fps-c", path: "metrics-wasm/output-fps-c/metric.c" },
    Source { name: "wrong-none-c", path: wrong::OF },
    Source { name: "wrong-output-c", path: wrong::OF },
    Source { name: "wrong-order-c", path: wrong::OF },
    Source { name: "wrong-forgetful-c", path: wrong::OF },
    Source { name: "wrong-remembering-c", path: wrong::OF },
    Source { name: "wrong-state-c", path: wrong::OF },
    Source { name: "wrong-describe-c", path: wrong::OF },
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
        let right = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let wrong = toolchain_folder("c")?.join(format!("{}.c", source.name));
        fs::write(&wrong, wrong::with_mistake(&right, mistake)?)
            .with_context(|| format!("cannot write {}", wrong.display()))?;
        Ok(component(&self.toolchain, &include, &wrong)?)
    }
}
