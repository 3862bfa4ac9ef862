//! Modules that a job can run: kept by digest, admitted before they are kept, compiled off the data path.

mod oci;
mod registry;
mod signature;

pub use oci::{Credentials, OciRegistry, PullError, Reference, pull};
pub use registry::{Admission, ModuleRecord, Registry, RegistryError};
pub use signature::{PublicKey, Signature};
