//! `[modules]`: which modules may come in while the job runs.

use super::section::Section;
use crate::modules::{Credentials, OciRegistry, PublicKey};

/// `[modules]`.
#[derive(Clone, Debug, Default)]
pub struct ModuleSettings {
    /// Keys, one of which must have signed a module; none: every module may come in.
    pub trusted_keys: Vec<PublicKey>,
    /// Registries of containers that they may be pulled from.
    pub registries: Vec<OciRegistry>,
}

impl ModuleSettings {
    /// `environment` looks a variable up, for `token_env` and `password_env`.
    pub(super) fn read(mut section: Section<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut trusted_keys = Vec::new();
        for (place, text) in section.texts("trusted_keys").unwrap_or_default().iter().enumerate() {
            match text.parse() {
                Ok(key) => trusted_keys.push(key),
                Err(message) => section.mistake(&format!("trusted_keys[{place}]"), message),
            }
        }
        let registries = section.sections("registry").into_iter().filter_map(|registry| read(registry, environment));
        let registries = registries.collect();
        section.finish();
        Self { trusted_keys, registries }
    }
}

/// `[[modules.registry]]`.
fn read(mut section: Section<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Option<OciRegistry> {
    let host = section.required_text("host", "\"ghcr.io\"");
    if host.contains('/') {
        section
            .mistake("host", "is a host, and a port where it has one of its own: leave out what is before and behind");
    }
    let mut secret = |name: &'static str| {
        let variable = section.text(name)?;
        let found = environment(&variable).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if found.is_none() {
            section.mistake(name, format!("the environment has no variable {variable}: set it"));
        }
        found
    };
    let (token, password) = (secret("token_env"), secret("password_env"));
    let user = section.text("user");
    let credentials = match (token, user, password) {
        (Some(token), None, None) => Some(Credentials::Bearer(token)),
        (None, Some(user), Some(password)) => Some(Credentials::Basic(user, password)),
        (None, None, None) => None,
        (Some(_), ..) => {
            section.mistake("token_env", "takes the place of user and password_env: leave them out");
            None
        }
        // A variable that is missing has been told.
        (None, Some(_), None) if section.has("password_env") => None,
        (None, ..) => {
            section.mistake("user", "and password_env belong together: give both, or neither");
            None
        }
    };
    section.finish();
    (!host.is_empty()).then_some(OciRegistry { host, credentials })
}

#[cfg(test)]
mod tests {
    use crate::config::Draft;
    use crate::config::overrides::Overrides;
    use crate::modules::Credentials;
    use std::path::Path;

    fn draft(registry: &str) -> Draft {
        let text = format!("[source]\nkind = \"stdin\"\n[[modules.registry]]\n{registry}");
        let environment = |name: &str| (name == "SECRET").then(|| "open sesame\n".to_owned());
        Draft::parse(Path::new("t.toml"), &text, &environment, &Overrides::default())
    }

    #[test]
    fn credentials_come_from_the_environment() {
        let read = |text: &str| draft(text).into_config().expect("sound").modules.registries.remove(0).credentials;
        assert_eq!(read("host = \"ghcr.io\"\n"), None);
        let basic = read("host = \"ghcr.io\"\nuser = \"me\"\npassword_env = \"SECRET\"\n");
        assert_eq!(basic, Some(Credentials::Basic("me".to_owned(), "open sesame".to_owned())));
        let bearer = read("host = \"ghcr.io\"\ntoken_env = \"SECRET\"\n");
        assert_eq!(bearer, Some(Credentials::Bearer("open sesame".to_owned())));
        for (text, words) in [
            ("user = \"me\"\n", "registry[0].host"),
            ("host = \"https://ghcr.io\"\n", "leave out what is before"),
            ("host = \"ghcr.io\"\nuser = \"me\"\n", "belong together"),
            ("host = \"ghcr.io\"\nuser = \"me\"\npassword_env = \"NONE\"\n", "no variable NONE"),
            ("host = \"ghcr.io\"\nuser = \"me\"\ntoken_env = \"SECRET\"\n", "takes the place"),
            ("host = \"ghcr.io\"\npassword = \"open sesame\"\n", "password"),
        ] {
            let report = draft(text).into_config().expect_err(text).to_string();
            assert!(report.contains(words) && !report.contains("sesame"), "{report}");
        }
    }
}
