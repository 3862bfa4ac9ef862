//! Go: the machine's own if it is new enough; else an older one, such as Debian's, fetches it from the module proxy, where
//! toolchains are modules.

use super::{Sdk, Source, empty_folder, toolchain_folder};
use crate::process::{find as find_program, output_of, run, succeeds};
use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tidemark_author::go::{Toolchain, component};

/// What is fetched where no Go is new enough for `guest-sdk/go/go.mod`.
const VERSION: &str = "go1.26.0";

const SDK: &str = "guest-sdk/go";
const MODULE: &str = "github.com/tidemark/tidemark/guest-sdk/go";

const SOURCES: [Source; 3] = [
    Source { name: "jitter-coefficient-go", path: "guest-sdk/go/examples/jitter-coefficient" },
    Source { name: "prompt-to-first-frame-go", path: "guest-sdk/go/examples/prompt-to-first-frame" },
    Source { name: "swap-rate-go", path: "metrics-wasm/swap-rate-go" },
];

/// Folders of modules with tests.
const MODULES: [&str; 2] = [SDK, "metrics-wasm/swap-rate-go"];

struct Go {
    toolchain: Toolchain,
}

/// The machine's Go, or the one that was fetched before.
pub(super) fn find() -> Result<Box<dyn Sdk>> {
    let fetched = fetched();
    let candidates = find_program("go").into_iter().chain([PathBuf::from("/usr/local/go/bin/go"), fetched]);
    let go = candidates.into_iter().find(|go| go.is_file() && is_new_enough(go));
    let go = go.with_context(|| format!("no Go that is new enough for {SDK}/go.mod"))?;
    Ok(Box::new(Go { toolchain: Toolchain { go } }))
}

/// The same; fetches one if there is none.
pub(super) fn install() -> Result<Box<dyn Sdk>> {
    find().or_else(|_| fetch().and_then(|()| find()))
}

fn fetched() -> PathBuf {
    workspace::root().join("target/languages/go").join(VERSION).join("bin/go")
}

/// Whether it builds the SDK's module as it is: it refuses a module that asks for a newer Go.
fn is_new_enough(go: &Path) -> bool {
    let mut list = Command::new(go);
    succeeds(list.current_dir(workspace::root().join(SDK)).env("GOTOOLCHAIN", "local").args(["list", "-m"]))
}

fn fetch() -> Result<()> {
    let any = find_program("go").context("fetching Go takes a Go: on Debian `apt-get install golang-go`")?;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let folder = toolchain_folder("go")?;
    let mut download = Command::new(any);
    download.current_dir(&folder).env("GOFLAGS", "-modcacherw").env("GOTOOLCHAIN", "local");
    download.env("GOMODCACHE", folder.join("modules")).args(["mod", "download", "-json"]);
    let told = output_of(download.arg(format!("golang.org/toolchain@v0.0.1-{VERSION}.linux-{architecture}")))?;
    let told: Value = serde_json::from_str(&told).context("`go mod download` did not answer in JSON")?;
    let modules = told["Dir"].as_str().context("`go mod download` names no folder")?;
    // In a module no file can be executed.
    for tools in ["bin", &format!("pkg/tool/linux_{architecture}")] {
        let tools = Path::new(modules).join(tools);
        for tool in fs::read_dir(&tools).with_context(|| format!("no folder {}", tools.display()))? {
            fs::set_permissions(tool?.path(), fs::Permissions::from_mode(0o755))?;
        }
    }
    super::link(&folder.join(VERSION), Path::new(modules))
}

impl Go {
    fn command(&self, folder: &Path) -> Command {
        let mut go = Command::new(&self.toolchain.go);
        go.current_dir(folder).env("GOTOOLCHAIN", "local").env_remove("GOROOT");
        go
    }
}

impl Sdk for Go {
    fn test(&self) -> Result<()> {
        for module in MODULES {
            let folder = workspace::root().join(module);
            run(self.command(&folder).args(["vet", "./..."]))?;
            run(self.command(&folder).args(["test", "./..."]))?;
            let unformatted =
                output_of(Command::new(self.toolchain.go.with_file_name("gofmt")).arg("-l").arg(&folder))?;
            ensure!(unformatted.is_empty(), "gofmt would change {}", unformatted.trim().replace('\n', ", "));
        }
        Ok(())
    }

    /// A module elsewhere, which requires the SDK as its README says, and builds the README's metric.
    fn package(&self) -> Result<()> {
        let folder = empty_folder("go-package")?;
        let example = fs::read_to_string(workspace::root().join(SDK).join("README.md"))?;
        let metric = example.split("```go\n").nth(1).and_then(|rest| rest.split("```").next());
        fs::write(folder.join("metric.go"), metric.context("the README has no metric")?)?;
        run(self.command(&folder).args(["mod", "init", "example.com/slow-requests"]))?;
        let mut edit = self.command(&folder);
        edit.args(["mod", "edit", &format!("-require={MODULE}@v0.0.0"), &format!("-tool={MODULE}/cmd/tidemark-go")]);
        run(edit.arg(format!("-replace={MODULE}={}", workspace::root().join(SDK).display())))?;
        run(self.command(&folder).args(["tool", "tidemark-go", "build", "-o", "metric.wasm"]))
    }

    fn sources(&self) -> &'static [Source] {
        &SOURCES
    }

    fn component(&self, source: &Source) -> Result<Vec<u8>> {
        let (folder, package) = match source.path.strip_prefix("guest-sdk/go/") {
            Some(example) => (SDK, format!("./{example}")),
            None => (source.path, ".".to_owned()),
        };
        Ok(component(&self.toolchain, &workspace::root().join(folder), &package)?)
    }
}
