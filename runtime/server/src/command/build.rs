//! `tidemark build`: a component of a project, admitted as a run admits it.

use crate::cli::BuildArguments;
use crate::exit::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use tidemark_author::{BuildError, Project};
use tidemark_wasm_host::{Host, HostSettings, Module};

/// Instances at a time: a module is described, configured and tried out, by one thread.
const INSTANCES: u32 = 32;

/// Builds and says what came of it.
pub fn execute(arguments: &BuildArguments) -> Result<(), Failure> {
    let host = host()?;
    let (file, module) = build(&host, &arguments.project, arguments.output.as_deref())?;
    let (descriptor, kilobytes) = (module.descriptor(), module.bytes().len() as f64 / 1000.0);
    println!("{}: {kilobytes:.1} kB, {} {}", file.display(), descriptor.name, descriptor.version);
    Ok(())
}

/// Builds the project at `path` into `output`, or into `NAME.wasm` in its folder.
pub(super) fn build(host: &Host, path: &Path, output: Option<&Path>) -> Result<(PathBuf, Module), Failure> {
    let project = Project::find(path).map_err(in_words)?;
    let component = project.build().map_err(in_words)?;
    let module = host.load(&component).map_err(|error| {
        Failure::failed(format!("{} makes a component that is not admitted: {error}", project.folder.display()))
    })?;
    let file = match output {
        Some(output) => output.to_owned(),
        None => shown(&project.folder).join(format!("{}.wasm", module.descriptor().name)),
    };
    // Under its name only when it is whole: somebody may be about to push it.
    let unfinished = file.with_extension("wasm.unfinished");
    let written = fs::write(&unfinished, &component).and_then(|()| fs::rename(&unfinished, &file));
    written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    Ok((file, module))
}

/// The sandbox of an author's commands: compiled code is kept for the next time, which spares Python ten seconds.
pub(super) fn host() -> Result<Host, Failure> {
    let folder = |name: &str, below: &str| {
        std::env::var_os(name).filter(|folder| !folder.is_empty()).map(|folder| PathBuf::from(folder).join(below))
    };
    let cache = folder("XDG_CACHE_HOME", "tidemark/modules").or_else(|| folder("HOME", ".cache/tidemark/modules"));
    let settings = HostSettings { instances: INSTANCES, cache, ..HostSettings::default() };
    match Host::new(settings.clone()) {
        Ok(host) => Ok(host),
        // A cache that cannot be used costs time only.
        Err(_) => Host::new(HostSettings { cache: None, ..settings }).map_err(Failure::failed),
    }
}

/// A folder relative to the current one, if it lies below: shorter to read.
pub(super) fn shown(folder: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    match here.as_deref().map(|here| folder.strip_prefix(here)) {
        Ok(Ok(below)) => below.to_owned(),
        _ => folder.to_owned(),
    }
}

/// What a person has to change before anything was started is told as such.
fn in_words(error: BuildError) -> Failure {
    match error {
        BuildError::Project(_) | BuildError::Missing { .. } => Failure::Usage(error.to_string()),
        BuildError::Tool(_) => Failure::failed(format!("{error}; what it says is above")),
        BuildError::Component(_) | BuildError::File { .. } => Failure::failed(error),
    }
}
