//! Modules that a job can run: kept by digest, admitted before they are kept, compiled off the data path.

mod registry;
mod signature;

pub use registry::{Admission, ModuleRecord, Registry, RegistryError};
pub use signature::{PublicKey, Signature};
