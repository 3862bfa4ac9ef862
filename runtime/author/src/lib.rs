//! From an author's source to a component: what a project is, and the toolchain of each language. Used by `tidemark build`
//! and by the project's own chores, so that both build metrics in the same way.
//!
//! It must not know the sandbox: whether a component is admitted is decided elsewhere.
//!
//! Every language has a module with a `Toolchain` that is found, or whose absence is explained, and a function
//! `component`, which makes a component of a metric's source.

pub mod language;
pub mod project;
pub mod new_project;

pub mod c;
pub mod go;
pub mod javascript;
pub mod python;
pub mod rust;

pub mod component;
pub mod error;
pub mod process;

pub use error::BuildError;
pub use language::Language;
pub use project::Project;
