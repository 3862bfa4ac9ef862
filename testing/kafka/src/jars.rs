//! The broker's jars: fetched by Maven once, kept in the target folder.

use crate::Unavailable;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of Apache Kafka.
pub const VERSION: &str = "4.4.0";

/// What the broker logs with.
const LOG4J: &str = "2.25.3";

/// Where the jars are.
///
/// # Errors
/// They are not there.
pub(crate) fn folder() -> Result<PathBuf, Unavailable> {
    let folder = root().join("jars");
    let is_there = |name: &str| folder.join(format!("{name}-{VERSION}.jar")).is_file();
    if is_there("kafka_2.13") && is_there("kafka-tools") {
        Ok(folder)
    } else {
        Err(Unavailable::Missing(format!("the jars of Apache Kafka {VERSION} are not in {}", folder.display())))
    }
}

/// Whether the jars are there.
#[must_use]
pub fn is_installed() -> bool {
    folder().is_ok()
}

/// Fetches the jars if they are not there. Needs `mvn`.
///
/// # Errors
/// Maven is not there, or cannot fetch them.
pub fn install() -> Result<(), Unavailable> {
    if folder().is_ok() {
        return Ok(());
    }
    // Into a folder of another name first: one that is there is whole.
    let partial = root().join("partial");
    let pom = partial.join("pom.xml");
    let prepare = || {
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)?;
        fs::write(&pom, project())
    };
    prepare().map_err(|error| Unavailable::Broken(format!("cannot write {}: {error}", pom.display())))?;
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg("-DoutputDirectory=jars").current_dir(&partial);
    let status =
        maven.status().map_err(|error| Unavailable::Missing(format!("cannot start Maven (`mvn`): {error}")))?;
    if !status.success() {
        return Err(Unavailable::Broken(format!("Maven could not fetch Apache Kafka {VERSION}: {status}")));
    }
    let jars = root().join("jars");
    let _ = fs::remove_dir_all(&jars);
    fs::rename(partial.join("jars"), &jars)
        .map_err(|error| Unavailable::Broken(format!("cannot rename {}: {error}", partial.display())))?;
    folder().map(|_| ())
}

/// The folder of this version.
fn root() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    workspace.join(target).join("kafka").join(VERSION)
}

/// A Maven project that depends on the broker, on the tools beside it (without what only others of them need), and on
/// what turns log messages into text.
fn project() -> String {
    let dependency = |group: &str, artifact: &str, version: &str, more: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}\
             </dependency>"
        )
    };
    let alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>";
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>kafka</artifactId>\
         <version>1</version><dependencies>{}{}{}</dependencies></project>\n",
        dependency("org.apache.kafka", "kafka_2.13", VERSION, ""),
        dependency("org.apache.kafka", "kafka-tools", VERSION, alone),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J, ""),
    )
}
