//! `tidemark new`.

use crate::cli::NewArguments;
use crate::exit::Failure;
use tidemark_author::new_project::{self, NewProject};

/// Writes the project and says what to do next.
pub fn execute(arguments: &NewArguments) -> Result<(), Failure> {
    let folder = arguments.dir.clone().unwrap_or_else(|| arguments.name.clone().into());
    let new = NewProject {
        name: arguments.name.clone(),
        language: arguments.lang,
        folder: folder.clone(),
        sdk: arguments.sdk.clone(),
    };
    let created = new_project::create(&new).map_err(|error| Failure::Usage(error.to_string()))?;
    println!("{}: a metric in {}", folder.display(), arguments.lang);
    created.files.iter().for_each(|file| println!("  {}", file.display()));
    if created.uses_registry {
        println!(
            "\nIt asks for the SDK as a package of version {}. While that is not published, make the project with \
             --sdk PATH, a clone of Tidemark, or within the clone.",
            env!("CARGO_PKG_VERSION")
        );
    }
    println!("\nNext:\n  cd {}", folder.display());
    if let Some(first) = created.first {
        println!("  {first}");
    }
    println!("  tidemark test");
    Ok(())
}
